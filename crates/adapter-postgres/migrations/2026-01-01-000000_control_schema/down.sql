-- The schema stays: it also holds the list of applied migrations.
drop table b24sync.quarantine;
drop table b24sync.entity_progress;
drop table b24sync.runs;
drop table b24sync.leases;
drop table b24sync.pinned_columns;
drop table b24sync.fields;
drop table b24sync.replicas;
drop table b24sync.item_state;
drop sequence b24sync.read_order;
