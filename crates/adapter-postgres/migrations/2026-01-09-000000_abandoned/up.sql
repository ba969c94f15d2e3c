-- Closed because its process is gone: sync_logs says `interrupted`, and the next worker that looks goes on with it.
alter table b24sync.runs add column abandoned boolean not null default false;
