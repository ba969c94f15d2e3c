-- What an owner tells of its run, and what others ask of it.
alter table b24sync.runs
  add column step text not null default '',
  add column expected bigint,
  add column cancel_requested boolean not null default false,
  add column opened_at timestamptz,
  add column processed_before bigint not null default 0;  -- when it was opened last

-- How far behind the portal's clock times may be shown.
alter table b24sync.portal add column behind_seconds bigint not null default 0;

-- Who changed what.
create table b24sync.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  subject text not null,
  action text not null,
  entity smallint,
  detail jsonb not null default '{}',
  request text
);

create index runs_finished on b24sync.runs (finished_at) where finished_at is not null;
create index runs_last on b24sync.runs (entity, kind, started_at);

alter table b24sync.audit enable row level security;
revoke all on b24sync.audit from public;
