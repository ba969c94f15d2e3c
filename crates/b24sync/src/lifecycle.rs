//! Signals: the first asks to stop, the second insists.

use tokio_util::sync::CancellationToken;

/// Exit code of a program that was interrupted (128 + SIGINT), as shells expect it.
const INTERRUPTED: i32 = 130;

/// A token that SIGINT or SIGTERM cancels. A second signal ends the process at once: everything that was committed
/// stays, and the next run goes on from there.
pub fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "the task lives as long as the process and holds nothing")]
    tokio::spawn(async move {
        wait_for_signal().await;
        token.cancel();
        wait_for_signal().await;
        #[expect(clippy::exit, reason = "the second signal asks for exactly this")]
        std::process::exit(INTERRUPTED);
    });
    stop
}

/// Calls `act` whenever SIGHUP comes, until `stop` is cancelled. Where there is no such signal, it never does.
pub async fn on_hangup(stop: CancellationToken, act: impl Fn()) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => act(),
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (stop, act);
    }
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    let _ = tokio::signal::ctrl_c().await;
}
