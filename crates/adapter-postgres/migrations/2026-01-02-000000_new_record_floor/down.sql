alter table b24sync.entity_progress
  drop column floor_id,
  drop column next_floor_id,
  drop column next_floor_at;
