//! A PostgreSQL database per test.
