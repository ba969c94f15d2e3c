-- Control tables. Replicated tables and sync_config, sync_state, sync_logs are made by code: their schema is a setting.

-- `create schema if not exists` asks for the right to create schemas even where there is nothing to create.
do $$
begin
  if to_regnamespace('b24sync') is null then
    create schema b24sync;
  end if;
end $$;
revoke all on schema b24sync from public;

-- Order of reads of the portal. CACHE 1: with a larger one, numbers would not rise across connections.
create sequence b24sync.read_order as bigint cache 1;

-- What was applied last to each record. Narrow, and updated often: hence the room in its pages.
create table b24sync.item_state (
  entity smallint not null,
  item_id bigint not null,
  read_seq bigint not null,           -- token taken before the read that was applied
  write_seq bigint not null,          -- token taken when it was stored
  modified timestamptz,
  hash bytea,                         -- null: content unknown, to be written whatever it is
  deleted_at timestamptz,
  primary key (entity, item_id)
) with (fillfactor = 70);

-- Replica tables: which table an entity has, and whether this program made it.
create table b24sync.replicas (
  entity smallint primary key,
  table_schema text not null,
  table_name text not null,
  relation oid not null,              -- another one under the same name has other rows: all are written again
  ours boolean not null,
  created_at timestamptz not null default now()
);

-- Data dictionary.
create table b24sync.fields (
  entity smallint not null,
  field text not null,
  column_name text,                   -- null: the overflow column
  currency_column text,
  bitrix_type text not null,
  column_type text,
  multiple boolean not null,
  label text,
  options jsonb not null default '[]',
  first_seen timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  retired boolean not null default false,
  primary key (entity, field)
);

create unique index fields_column on b24sync.fields (entity, column_name);

-- Columns that could not be widened.
create table b24sync.pinned_columns (
  entity smallint not null,
  column_name text not null,
  pinned_at timestamptz not null default now(),
  primary key (entity, column_name)
);

create table b24sync.leases (
  scope text primary key,
  holder text not null,
  token bigint not null,
  expires_at timestamptz not null
);

-- What a run needs to go on; the public part of it is in sync_logs.
create table b24sync.runs (
  run_id bigint primary key,          -- = sync_logs.id
  entity smallint not null,
  kind text not null,
  status text not null,
  resumable boolean not null default true,
  cursor bigint not null default 0,
  start_seq bigint not null,
  source_start timestamptz,
  processed bigint not null default 0,
  quarantined bigint not null default 0,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
);

create index runs_resumable on b24sync.runs (entity) where resumable;

-- Where an entity stands.
create table b24sync.entity_progress (
  entity smallint primary key,
  watermark timestamptz,
  updated_at timestamptz not null default now()
);

-- Records that could not be stored.
create table b24sync.quarantine (
  entity smallint not null,
  item_id bigint not null,
  read_seq bigint not null,           -- token of the read that was refused
  field text,
  reason text not null,
  excerpt text,
  first_seen timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  run_id bigint not null,
  primary key (entity, item_id)
);

create index quarantine_run on b24sync.quarantine (run_id);

alter table b24sync.item_state enable row level security;
alter table b24sync.replicas enable row level security;
alter table b24sync.fields enable row level security;
alter table b24sync.pinned_columns enable row level security;
alter table b24sync.leases enable row level security;
alter table b24sync.runs enable row level security;
alter table b24sync.entity_progress enable row level security;
alter table b24sync.quarantine enable row level security;
revoke all on all tables in schema b24sync from public;
revoke all on all sequences in schema b24sync from public;
