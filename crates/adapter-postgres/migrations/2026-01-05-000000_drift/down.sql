alter table b24sync.entity_progress
  drop column drift_missing,
  drop column drift_extra,
  drop column drift_different,
  drop column drift_at;
