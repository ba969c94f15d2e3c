-- Changes of fields that have not reached all records yet that were stored before.
create table b24sync.field_changes (
  entity smallint not null,
  field text not null,
  scope text not null,                -- values, compare, rewrite
  cursor bigint not null default 0,   -- records up to here have been read again
  covered_by bigint,                  -- the full run that reads every record with the field as it is now
  since timestamptz not null default now(),
  primary key (entity, field)
);

-- The portal that the replica belongs to, and what its webhook's owner may do. One row.
create table b24sync.portal (
  single boolean primary key default true check (single),
  address text not null,
  user_id bigint,
  admin boolean,
  time_zone text,
  scopes text[],
  server_time timestamptz,
  offset_seconds integer,
  claimed_at timestamptz not null default now(),
  checked_at timestamptz
);

-- How that portal understands listings.
create table b24sync.portal_probes (
  entity smallint primary key,
  bounds text,                        -- null: no way to write the bound of a time selects what it should
  keyset boolean not null,
  ahead_seconds bigint not null,
  user_id bigint,                     -- the webhook's owner then
  checked_at timestamptz not null
);

-- Whether rows of deleted records stay in the table, with the time in its column `deleted_at`; once that is so, the
-- column is ours.
alter table b24sync.replicas add column keeps_deleted boolean not null default false;

-- Which request for the lease got it: when the answer is lost, the same request asks again.
alter table b24sync.leases add column attempt bigint;

-- A run can wait for somebody to do it. How often it was begun or gone on with:
alter table b24sync.runs add column opened integer not null default 1;

alter table b24sync.field_changes enable row level security;
alter table b24sync.portal enable row level security;
alter table b24sync.portal_probes enable row level security;
revoke all on b24sync.field_changes, b24sync.portal, b24sync.portal_probes from public;
