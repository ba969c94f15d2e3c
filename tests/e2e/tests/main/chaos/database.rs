//! The database goes away, cuts connections, has no room, or does not answer whether it committed.

use std::time::{Duration, Instant};

use b24sync_pg_harness::PgServer;
use b24sync_testkit::proxy::Side;

use super::ground::{DATABASE, Ground};
use super::small_disk::SmallDisk;
use super::{lasting, times};
use crate::running::figure;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_crashes_and_comes_back() {
    let mut ground = Ground::new().await;
    let mut since = Instant::now();
    for _ in 0..times(3, 20) {
        ground.events(10).await;
        ground.server.restart_immediate().await;
        since = Instant::now();
        ground.back(since).await;
    }
    ground.holds("PostgreSQL restarted with -m immediate", since).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_to_the_database_is_cut_again_and_again() {
    let mut ground = Ground::new().await;
    let (end, mut cut) = (Instant::now() + lasting(3, 60), 0);
    while Instant::now() < end {
        cut += ground.server.terminate_backends(DATABASE).await;
        ground.endure(Duration::from_millis(30)).await;
    }
    let since = Instant::now();
    assert!(cut > 20, "a storm that cuts {cut} connections is none");
    ground.back(since).await;
    ground.holds("pg_terminate_backend of everything, again and again", since).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_of_the_database_is_full() {
    let disk = match SmallDisk::of_megabytes(256) {
        Ok(disk) => disk,
        Err(refused) => {
            figure(&format!("skipped: no small file system could be mounted: {refused}"));
            return;
        }
    };
    let options = [("max_wal_size", "64MB"), ("min_wal_size", "32MB")];
    let server = PgServer::private_in(disk.folder(), &options).await;
    let mut ground = Ground::on(server, Vec::new()).await;
    let before = ground.answered(503);
    disk.fill();
    // Existing pages take what fits into them: it takes a while until a table must grow.
    let until = Instant::now() + lasting(3, 120);
    let longest = Instant::now() + lasting(60, 180);
    while Instant::now() < until || (ground.answered(503) == before && Instant::now() < longest) {
        ground.endure(Duration::from_millis(100)).await;
    }
    let refused = ground.answered(503) - before;
    disk.make_room();
    let since = Instant::now();
    assert!(refused > 0, "the full disk hurt nobody");
    // A server that could not write its log has stopped; whoever looks after it starts it again.
    ground.server.restart_immediate().await;
    ground.back(since).await;
    ground.holds("disk of PostgreSQL full", since).await;
}

/// Commits are lost, one after the other, on this side of the database.
async fn commits_are_lost(side: Side, fault: &str) {
    let mut ground = Ground::new().await;
    let mut since = Instant::now();
    for turn in 0..times(8, 200) {
        let before = ground.way_to_database.lost();
        ground.way_to_database.lose(side, "COMMIT", turn % 4, 1);
        let deadline = Instant::now() + Duration::from_secs(30);
        while ground.way_to_database.lost() == before {
            assert!(Instant::now() < deadline, "nothing is committed any more");
            ground.endure(Duration::from_millis(5)).await;
        }
        since = Instant::now();
        if turn % 4 == 3 {
            ground.back(since).await;
        }
    }
    ground.holds(fault, since).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_lost_before_the_database_gets_the_commit() {
    commits_are_lost(Side::Request, "connection cut at COMMIT, which does not arrive").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_lost_before_the_database_answers_the_commit() {
    commits_are_lost(Side::Answer, "connection cut at COMMIT, whose answer is lost").await;
}
