#!/usr/bin/env bash
# How much of the portal's rate a full sync uses, behind the bucket of an ordinary plan: 2 requests a second, 50 at once.
#
#   tests/bench/paced.sh [DEALS]     300000
#
# First one instance syncs all deals; then two instances at once sync half as many deals and contacts each. Theory: the burst
# at once and two requests a second after it. The emulator takes some minutes to make its records.
set -euo pipefail
cd "$(dirname "$0")/../.."

deals=${1:-300000}
bin=${BIN:-target/release}

[ -n "${BIN:-}" ] || cargo build --release --locked --quiet -p b24sync -p b24sync-portal-emulator

source tests/bench/setting.sh

start_postgres

# Starts a portal with so many DEALS and CONTACTS, and a database for it.
portal() {
  "$bin/portal-emulator" --port 0 --deals "$1" --leads 0 --contacts "$2" --companies 0 --rate 2 --burst 50 --print-url > "$work/portal-$3.log" 2>&1 &
  pids+=($!)
  BITRIX_WEBHOOK_URL=$(await "$work/portal-$3.log" 'http://[^ ]*/rest/[^ ]*')
  "$postgres/psql" -h 127.0.0.1 -p "$port" -U bench -d postgres -qc "create database $3"
  export BITRIX_WEBHOOK_URL BITRIX_ALLOW_LOOPBACK=true DATABASE_URL=postgresql://bench@127.0.0.1:$port/$3
  "$bin/b24sync" migrate > /dev/null 2>&1
}

# Prints what came of it.
verdict() { # WHAT BEGIN END
  curl -s "${BITRIX_WEBHOOK_URL%%/rest/*}/__admin/stats" | python3 -c '
import json, sys
what, seconds = sys.argv[1], float(sys.argv[3]) - float(sys.argv[2])
rest = json.load(sys.stdin)["rest"]
theory = (rest["http_requests"] - 50) / 2
ratio = f"{seconds / theory:.3f}" if theory > 0 else "no"
print(f"{what}: {seconds:.1f} s, theory {theory:.1f} s for {rest['"'http_requests'"']} requests, ratio {ratio}, {rest['"'throttled'"']} refused, {rest['"'rows_served'"']} rows")' "$@"
}

echo "$(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"

portal "$deals" 0 one
begin=$(date +%s.%N)
"$bin/b24sync" sync deal > "$work/deal.log" 2>&1 || { cat "$work/deal.log"; exit 1; }
verdict "one instance, $deals deals" "$begin" "$(date +%s.%N)"

portal $((deals / 2)) $((deals / 2)) two
begin=$(date +%s.%N)
"$bin/b24sync" sync deal > "$work/deal.log" 2>&1 &
first=$!
"$bin/b24sync" sync contact > "$work/contact.log" 2>&1 &
second=$!
wait "$first" || { cat "$work/deal.log"; exit 1; }
wait "$second" || { cat "$work/contact.log"; exit 1; }
verdict "two instances, $((deals / 2)) deals and $((deals / 2)) contacts" "$begin" "$(date +%s.%N)"
