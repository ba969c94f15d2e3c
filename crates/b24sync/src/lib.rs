//! Keeps a live, exact copy of a Bitrix24 CRM in PostgreSQL.
