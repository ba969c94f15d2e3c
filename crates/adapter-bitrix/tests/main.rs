//! The adapter against an emulated portal, and against servers that no portal would be.

#[cfg(test)]
mod application;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod probing;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod rude;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tokens;
