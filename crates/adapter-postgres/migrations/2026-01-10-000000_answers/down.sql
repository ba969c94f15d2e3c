alter table b24sync.item_state drop column answer;
