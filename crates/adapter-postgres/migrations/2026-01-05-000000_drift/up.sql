-- What the last complete comparison of portal and replica found.
alter table b24sync.entity_progress
  add column drift_missing bigint,
  add column drift_extra bigint,
  add column drift_different bigint,
  add column drift_at timestamptz;
