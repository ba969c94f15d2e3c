//! End-to-end tests of the service.
