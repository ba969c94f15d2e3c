-- What a record was answered with when its row was written, and how it was mapped then; null: not known.
alter table b24sync.item_state add column answer bytea;
