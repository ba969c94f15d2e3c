//! Keeps the replica and the control tables in PostgreSQL.
