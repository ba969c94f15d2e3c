#!/usr/bin/env bash
# How many events a second are taken in, each committed before it is answered: the service beside the Python receiver that
# does the same (FastAPI, uvicorn, asyncpg), on one PostgreSQL, in turn.
#
#   tests/bench/webhooks.sh FOLDER_OF_THE_PYTHON_RECEIVER [SECONDS]     a round; 8. ROUNDS=3 CONNECTIONS=32
#
# The folder has webhook_app.py, webhook.lua and requirements.txt; without it only the service is measured. Events name
# 100,000 records in turn, so that nothing coalesces before the second round. The load, both receivers and PostgreSQL share
# the processors of this machine: write down how many there are and what else ran.
#
# Prints each round, then the medians and their ratios. Fails where a request was not answered with 200.
set -euo pipefail
cd "$(dirname "$0")/../.."

python_stack=${1:-}
seconds=${2:-8}
rounds=${ROUNDS:-3}
connections=${CONNECTIONS:-32}
bin=${BIN:-target/release}
token=51856fefc120afa4b628cc82d3935cce

command -v wrk > /dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy wrk; } > /dev/null
[ -n "${BIN:-}" ] || cargo build --release --locked --quiet -p b24sync

source tests/bench/setting.sh

start_postgres
dsn=postgresql://bench@127.0.0.1:$port/postgres
echo "$(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), PostgreSQL with fsync, $connections connections, $rounds rounds of $seconds s"

if [ -n "$python_stack" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q --disable-pip-version-check -r "$python_stack/requirements.txt"
  (cd "$python_stack" && exec env MODE=durable DSN="$dsn" PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" -m uvicorn webhook_app:app \
    --port 0 --loop uvloop --http httptools --no-access-log) > "$work/python.log" 2>&1 &
  pids+=($!)
fi

DATABASE_URL=$dsn BITRIX_APPLICATION_TOKENS=$token "$bin/b24sync" serve --role api --host 127.0.0.1 --port 0 > "$work/service.log" 2>&1 &
service=$!
pids+=("$service")

ours=$(await "$work/service.log" 'listening on http://[^ "]*' | cut -d' ' -f3)
lua=${python_stack:+$python_stack/webhook.lua}
if [ -z "$lua" ]; then
  lua=$work/webhook.lua
  cat > "$lua" << LUA
local n = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, "event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D=" .. (n % 100000 + 1) .. "&ts=1736405807&auth%5Bapplication_token%5D=$token")
end
done = function(s, l, r)
  io.write(string.format('{"rps":%.0f,"p50_ms":%.2f,"p99_ms":%.2f,"non2xx":%d,"socket_errors":%d}\n', s.requests / (s.duration / 1e6),
    l:percentile(50) / 1000, l:percentile(99) / 1000, s.errors.status, s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout))
end
LUA
fi

measure() { # NAME ADDRESS
  local line
  line=$(wrk -t1 -c"$connections" -d"${seconds}s" --latency -s "$lua" "$2/api/v1/webhooks/bitrix" | grep '^{')
  printf '%-8s %s\n' "$1" "$line"
  echo "$1 $line" >> "$work/results"
}
[ -z "$python_stack" ] || theirs=$(await "$work/python.log" 'http://127.0.0.1:[0-9]+')
for _ in $(seq "$rounds"); do
  [ -z "$python_stack" ] || measure python "$theirs"
  measure service "$ours"
done
python3 - "$work/results" << 'PYTHON'
import json, statistics, sys
rounds = {}
for line in open(sys.argv[1]):
    name, text = line.split(" ", 1)
    rounds.setdefault(name, []).append(json.loads(text))
bad = any(r["non2xx"] or r["socket_errors"] for r in rounds["service"])
median = {name: {key: statistics.median(r[key] for r in all) for key in ("rps", "p50_ms", "p99_ms")} for name, all in rounds.items()}
for name, figures in median.items():
    print(f"median   {name}: {figures['rps']:.0f} a second, p50 {figures['p50_ms']:.2f} ms, p99 {figures['p99_ms']:.2f} ms")
if "python" in median:
    ours, theirs = median["service"], median["python"]
    print(f"ratio    {ours['rps'] / theirs['rps']:.1f} times as many, p99 {ours['p99_ms'] / theirs['p99_ms']:.2f} of theirs")
sys.exit(bad)
PYTHON
echo "the service took $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$service/status") MiB at most"
