# `just` lists what there is; `just check` is what CI runs, without the demo.

default:
    @just --list

# Format everything.
fmt:
    cargo fmt --all

# The checks of CI that need no run of the program.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
    cargo deny check bans licenses sources

# All tests.
test:
    cargo test

# Lint and test.
check: lint test

# A made-up portal, a full sync and a live change.
demo:
    cargo run --release -- demo --once

# The full sync beside COPY and, with PYTHON_STACK=FOLDER, beside the Python stack; SCALE=1 also reads a million deals.
bench *arguments:
    cargo build --release --locked -p b24sync -p b24sync-portal-emulator
    cargo run --release --locked -p b24sync-bench -- {{arguments}}

# The fault campaign in its long form, about an hour: faults around the running service, and how soon it is back from each.
chaos:
    #!/usr/bin/env bash
    set -euo pipefail
    mkdir -p target
    CHAOS=long cargo test --locked -p b24sync-e2e --test main chaos:: -- --nocapture --test-threads=1 2>&1 | tee target/chaos.log
    echo 'fault | times | back after s: median | most | caught up after s | events taken in | refused or lost'
    grep -o 'chaos | .*' target/chaos.log | cut -c 9-

# Fuzz every parser of what comes from outside: each target for a minute, or `just fuzz RUNS TARGET…`.
fuzz *arguments:
    fuzz/run.sh {{arguments}}

# Known vulnerabilities in dependencies; needs the network for the RustSec database.
audit:
    cargo deny check advisories

# What the program is made of, as CycloneDX 1.5, into target/b24sync.cdx.json; needs `cargo install cargo-cyclonedx`.
sbom:
    cargo cyclonedx --manifest-path crates/b24sync/Cargo.toml --all-features --format json --spec-version 1.5 --override-filename b24sync.cdx
    mv crates/b24sync/b24sync.cdx.json target/
    # It writes one for each crate of the workspace.
    find crates tests -name b24sync.cdx.json -delete

# Accept new snapshots of tests after reading them.
snapshots:
    cargo insta review

# Everything that CI does.
ci:
    .ci/run
