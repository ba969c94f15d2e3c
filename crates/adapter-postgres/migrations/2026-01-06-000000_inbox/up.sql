-- Events of the portal, kept until what they name has been looked at (ADR 7). One row a record, however many events.
create table b24sync.hints (
  entity smallint not null,
  item_id bigint not null,            -- 0: the fields of the entity
  generation bigint not null,         -- from read_order: another one with each event
  first_at timestamptz not null,      -- of the first event that was not looked at yet
  last_at timestamptz not null,
  due_at timestamptz not null,
  deleted boolean not null,           -- the last event says that the record is gone
  sent_at timestamptz,                -- by the portal's clock
  second_look boolean not null default false,
  attempts integer not null default 0,
  error text,
  dead_at timestamptz,                -- a dead letter since
  primary key (entity, item_id)
) with (fillfactor = 70);

create index hints_due on b24sync.hints (entity, due_at) where dead_at is null;
create index hints_first on b24sync.hints (entity, first_at) where dead_at is null;

-- When the instances that take events in were alive last.
create table b24sync.receivers (
  holder text primary key,
  alive_at timestamptz not null
);

alter table b24sync.hints enable row level security;
alter table b24sync.receivers enable row level security;
revoke all on b24sync.hints, b24sync.receivers from public;
