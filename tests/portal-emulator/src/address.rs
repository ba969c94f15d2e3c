//! Where the portal and its authorisation server can be reached.

/// The address that the portal gives to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Scheme, host and port.
    base: String,
}

impl Address {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// On a port of this machine.
    pub(crate) fn local(port: u16) -> Self {
        Self::new(&format!("http://127.0.0.1:{port}"))
    }

    /// Host and port.
    pub(crate) fn domain(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, domain)| domain)
    }

    /// The address of the REST interface, with a slash at the end. The authorisation server has the same.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}/rest/", self.base)
    }
}
