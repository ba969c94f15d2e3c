-- What all instances together may still ask of the portal (ADR 9). One row; only the clock of the database counts.
create table b24sync.portal_rate (
  single boolean primary key default true check (single),
  version bigint not null default 0,           -- rises with every change
  level double precision not null default 0,   -- requests in the portal's bucket at `at`, promised ones included
  at timestamptz not null default clock_timestamp(),
  paused_until timestamptz,                    -- nobody sends anything before
  refusals integer not null default 0,         -- that followed each other
  refused_at timestamptz,
  factor double precision not null default 1   -- part of rate and burst that was left at refused_at
) with (fillfactor = 50);

insert into b24sync.portal_rate default values;

-- Without this the planner takes them for thousands of rows, and compiles each question about them for 0.2 s (`jit`).
analyze b24sync.portal_rate;

-- Methods whose execution time the portal says is used up.
create table b24sync.portal_methods (
  method text primary key,
  paused_until timestamptz not null,
  limit_seconds double precision               -- at which it was refused; null: unknown
);

alter table b24sync.portal_rate enable row level security;
alter table b24sync.portal_methods enable row level security;
revoke all on b24sync.portal_rate, b24sync.portal_methods from public;
