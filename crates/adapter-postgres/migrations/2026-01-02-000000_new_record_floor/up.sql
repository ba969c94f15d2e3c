-- New records are looked for above the highest id that was known one overlap before the watermark's pass: a transaction
-- of the portal may make a lower id visible after a higher one. `next_floor_id` waits for that time to pass.
alter table b24sync.entity_progress
  add column floor_id bigint not null default 0,
  add column next_floor_id bigint not null default 0,
  add column next_floor_at timestamptz;
