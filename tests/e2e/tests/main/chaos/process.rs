//! The service is killed.

use std::time::{Duration, Instant};

use super::ground::Ground;
use super::times;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_is_killed_with_sigkill() {
    let mut ground = Ground::new().await;
    let mut since = Instant::now();
    for turn in 0..times(4, 200) {
        ground.events(10).await;
        ground.kill();
        // Some events find nobody.
        if turn % 2 == 1 {
            ground.endure(Duration::from_millis(300)).await;
        }
        since = Instant::now();
        ground.start();
        ground.back(since).await;
    }
    ground.holds("kill -9 of the service", since).await;
}
