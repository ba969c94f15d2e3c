//! Which threads go first when the processors are busy.

/// A nice value at which a thread still gets a tenth of what one at 0 gets (`sched(7)`).
#[cfg(target_os = "linux")]
const BEHIND: i32 = 10;

/// Lets the calling thread wait behind those that answer requests. Reading and mapping take whole processors for seconds,
/// and nobody notices when they take a little longer; somebody waits for each answer.
pub fn go_behind() {
    // Elsewhere a priority is the whole process's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, BEHIND) {
        tracing::debug!(%error, "the priority of a thread stays as it is");
    }
}
