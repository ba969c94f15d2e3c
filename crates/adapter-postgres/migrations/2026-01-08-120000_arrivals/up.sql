-- When an event of each entity was taken in last, to a minute: hints go once they are applied, and silence must show.
create table b24sync.arrivals (
  entity smallint primary key,
  last_at timestamptz not null
);

alter table b24sync.arrivals enable row level security;
revoke all on b24sync.arrivals from public;
