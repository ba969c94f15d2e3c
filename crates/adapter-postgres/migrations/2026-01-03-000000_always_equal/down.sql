alter table b24sync.runs drop column opened;
alter table b24sync.leases drop column attempt;
alter table b24sync.replicas drop column keeps_deleted;
drop table b24sync.portal_probes;
drop table b24sync.portal;
drop table b24sync.field_changes;
