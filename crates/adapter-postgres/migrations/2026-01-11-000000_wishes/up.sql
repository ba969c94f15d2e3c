-- When somebody wished for the run last: what was begun before does not fulfil the wish.
alter table b24sync.runs add column wished_at timestamptz not null default clock_timestamp();

-- The pass over an entity's records that ended last.
create index runs_ended on b24sync.runs (entity, finished_at)
  where finished_at is not null and kind <> 'webhook' and opened > 0;
