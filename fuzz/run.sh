#!/usr/bin/env bash
# Fuzzes one target after the other: fuzz/run.sh [RUNS] [TARGET…]. Without RUNS each runs for a minute. Prints a line for
# each: runs, seconds, and what was new.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-}
[ $# -gt 0 ] && shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(notification answer fields tokens address token keys)
limit=(-max_total_time=60)
[ -z "$runs" ] || limit=("-runs=$runs")

for target in "${targets[@]}"; do
  found=fuzz/target/found/$target log=fuzz/target/$target.log
  mkdir -p "$found"
  options=(-max_len=4096 -print_final_stats=1 "${limit[@]}")
  [ ! -f "fuzz/$target.dict" ] || options+=("-dict=fuzz/$target.dict")
  seeds=("fuzz/corpus/$target")
  case $target in
    notification) seeds+=(crates/adapter-http/tests/fixtures/events) ;;
    answer | fields) seeds+=(crates/adapter-bitrix/tests/fixtures) ;;
  esac
  began=$SECONDS
  if ! cargo fuzz run -s none "$target" "$found" "${seeds[@]}" -- "${options[@]}" > "$log" 2>&1; then
    tail -n 40 "$log"
    echo "$target: a law was broken"
    exit 1
  fi
  done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  new=$(sed -n 's/^stat::new_units_added: *//p' "$log")
  echo "$target: $done runs in $((SECONDS - began)) s, $new new inputs, no law broken"
done
