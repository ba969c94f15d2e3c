//! This process among others: an identity that tells whether a lease's holder is certainly gone.
//!
//! A lease of a process that was killed would run out after 30 s. A process on the same machine can know better: the
//! same boot, the same process namespace, and no process with that id and start time means that the holder is gone.
//! Fencing makes a mistake harmless; it would only end the other's run.

use std::fs;

use b24sync_domain::ports::Instances;

/// Identity of a process: `host/pid/boot/namespace/start`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    host: String,
    pid: u32,
    boot: String,
    namespace: String,
    /// Clock ticks after boot at which the process began; distinguishes it from a later one with the same id.
    start: String,
}

impl Identity {
    fn of(pid: u32) -> Identity {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Identity {
            host: read("/proc/sys/kernel/hostname"),
            pid,
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: fs::read_link("/proc/self/ns/pid")
                .map(|link| link.to_string_lossy().into_owned())
                .unwrap_or_default(),
            start: start_of(pid).unwrap_or_default(),
        }
    }

    fn parse(text: &str) -> Option<Identity> {
        let mut parts = text.split('/').map(str::to_owned);
        Some(Identity {
            host: parts.next()?,
            pid: parts.next()?.parse().ok()?,
            boot: parts.next()?,
            namespace: parts.next()?,
            start: parts.next()?,
        })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.host, self.pid, self.boot, self.namespace, self.start)
    }
}

/// Field 22 of `/proc/PID/stat` (proc(5)); the second field may hold spaces, so counting starts after its bracket.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

/// This process.
#[derive(Debug)]
pub struct ThisProcess {
    identity: Identity,
}

impl ThisProcess {
    /// Looks at itself.
    pub fn new() -> ThisProcess {
        ThisProcess { identity: Identity::of(std::process::id()) }
    }
}

impl Default for ThisProcess {
    fn default() -> Self {
        ThisProcess::new()
    }
}

impl Instances for ThisProcess {
    fn me(&self) -> String {
        self.identity.to_string()
    }

    fn is_gone(&self, holder: &str) -> bool {
        let Some(other) = Identity::parse(holder) else { return false };
        let comparable = !other.boot.is_empty()
            && !other.namespace.is_empty()
            && !other.start.is_empty()
            && (&other.boot, &other.namespace) == (&self.identity.boot, &self.identity.namespace);
        comparable && !is_alive(&other)
    }
}

#[cfg(unix)]
fn is_alive(other: &Identity) -> bool {
    let Some(pid) = i32::try_from(other.pid).ok().and_then(rustix::process::Pid::from_raw) else { return true };
    match rustix::process::test_kill_process(pid) {
        Err(rustix::io::Errno::SRCH) => false,
        // It exists, or we may not know: only a different start time proves that it is another process.
        _ => start_of(other.pid).is_none_or(|start| start == other.start),
    }
}

#[cfg(not(unix))]
fn is_alive(_other: &Identity) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back() {
        let me = Identity::of(std::process::id());
        assert_eq!(Identity::parse(&me.to_string()), Some(me));
    }

    #[test]
    fn a_process_that_lives_is_not_gone() {
        let this = ThisProcess::new();
        assert!(!this.is_gone(&this.me()));
    }

    #[test]
    fn a_process_that_ended_is_gone_and_a_reused_id_does_not_hide_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id());
        let this = ThisProcess::new();
        assert!(!this.is_gone(&identity.to_string()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(this.is_gone(&identity.to_string()));
        let reused = Identity { pid: std::process::id(), start: "1".to_owned(), ..identity };
        assert!(this.is_gone(&reused.to_string()));
    }

    #[test]
    fn processes_elsewhere_are_never_called_gone() {
        let this = ThisProcess::new();
        let elsewhere = Identity { boot: "another".to_owned(), pid: 999_999_999, ..this.identity.clone() };
        for holder in [elsewhere.to_string(), String::new(), "somebody".to_owned()] {
            assert!(!this.is_gone(&holder), "{holder}");
        }
    }
}
