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

# Accept new snapshots of tests after reading them.
snapshots:
    cargo insta review

# Everything that CI does.
ci:
    .ci/run
