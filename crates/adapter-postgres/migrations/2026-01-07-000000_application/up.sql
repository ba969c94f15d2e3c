-- The service as an application of the portal. One row.
create table b24sync.application (
  single boolean primary key default true check (single),
  version bigint not null default 0,  -- of the tokens; rises with every change
  sealed bytea,                       -- unreadable without BITRIX_TOKEN_KEY; null: there are none
  sealed_at timestamptz not null default clock_timestamp(),
  handler text                        -- where the portal sends events; null: nowhere
);

alter table b24sync.application enable row level security;
revoke all on b24sync.application from public;
