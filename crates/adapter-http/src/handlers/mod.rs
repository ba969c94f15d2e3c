//! One module per group of paths.

pub mod health;
