alter table b24sync.runs drop column abandoned;
