drop index b24sync.runs_last;
drop index b24sync.runs_finished;
drop table b24sync.audit;
alter table b24sync.portal drop column behind_seconds;
alter table b24sync.runs
  drop column step,
  drop column expected,
  drop column cancel_requested,
  drop column opened_at,
  drop column processed_before;
