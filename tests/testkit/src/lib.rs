//! Builders, fakes and contract suites for the ports.
