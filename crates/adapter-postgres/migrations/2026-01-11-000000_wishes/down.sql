drop index b24sync.runs_ended;
alter table b24sync.runs drop column wished_at;
