//! The authenticator against a project that is made up, and against tokens that no project would issue.
#![expect(clippy::string_slice, reason = "tokens are ASCII, and a test may fail by panicking")]

#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod good;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
