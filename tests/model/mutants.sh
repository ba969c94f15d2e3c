#!/usr/bin/env bash
# Shows that the model test can fail: applies each fault of mutants/*.patch to a copy of the tree and expects a seed that
# finds it. Prints what was found by which seed; fails when a fault survives, or when a patch does not fit any more.
#
#   tests/model/mutants.sh              all of them
#   tests/model/mutants.sh no-overlap   the ones named
set -euo pipefail
cd "$(dirname "$0")/../.."

seeds=${MODEL_SEEDS:-10000}
export CARGO_TARGET_DIR="$PWD/target/mutants" CARGO_INCREMENTAL=1 RUST_BACKTRACE=0
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# One place for all copies, so that only what a patch touches is built again. The files are new as of now: what an earlier
# call of this script built from another copy is not taken for theirs.
copy() {
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -m -C "$tree" --no-same-owner
}

try() {
  local name=$1 patch=$2 log="$tree.log" verdict
  patch -s -p1 -d "$tree" < "$patch" || { printf '%-32s the patch does not fit any more\n' "$name"; return 1; }
  if ! (cd "$tree" && cargo test --offline --locked -q -p b24sync-model --test model --no-run) > "$log" 2>&1; then
    printf '%-32s does not compile\n' "$name"
    tail -n 20 "$log"
    return 1
  fi
  if (cd "$tree" && MODEL_SEEDS=$seeds cargo test --offline --locked -q -p b24sync-model --test model) > "$log" 2>&1; then
    printf '%-32s SURVIVES %s seeds\n' "$name" "$seeds"
    return 1
  fi
  verdict=$(grep -m 1 -oE 'seed [0-9]+ violates I[0-9]+: .{0,90}' "$log" || true)
  if [ -z "$verdict" ]; then
    printf '%-32s failed, but no invariant says why\n' "$name"
    tail -n 20 "$log"
    return 1
  fi
  printf '%-32s %s\n' "$name" "$verdict"
}

copy
survivors=0
for patch in tests/model/mutants/*.patch; do
  name=$(basename "$patch" .patch)
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  try "$name" "$patch" || survivors=$((survivors + 1))
  patch -s -R -p1 -d "$tree" < "$patch" || true
done
rm -f "$tree.log"
[ "$survivors" -eq 0 ] || { echo "$survivors of the faults are not found"; exit 1; }
