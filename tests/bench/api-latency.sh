#!/usr/bin/env bash
# How fast the HTTP interface answers while a full sync runs: every GET path that answers once, one after the other.
#
#   tests/bench/api-latency.sh [SECONDS]        a path and a phase; 5. DEALS=100000 CONNECTIONS=4 PAUSE_MS=10
#
# Starts what it needs, in a folder of its own: the release builds of an emulated portal and of the service, with the
# private PostgreSQL. Everything runs on this machine, so that the load, the portal and the database take their share of
# its processors: write down how many there are and what else ran.
#
# Each connection asks, reads the answer, pauses, and asks again: the question is how long an answer takes, not how many
# the machine can give when it does nothing else. The limits of requests stay as they are: requests are spread over 400
# users, and over as many addresses behind a trusted proxy where no token is needed.
#
# Three phases: the first full sync, while the table grows; nothing but the requests; a second full sync over the whole
# table. A path is measured again if the sync ended meanwhile. Fails where p99 is above LIMIT_MS=50, or an answer is not
# the expected one: 2xx, and 409 for the portal's handlers, which only an application has. A dry run of the mapping asks the
# portal once in 5 s, which takes as long as the portal does: that is the maximum of its line.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-5}
deals=${DEALS:-100000}
export CONNECTIONS=${CONNECTIONS:-4} PAUSE_MS=${PAUSE_MS:-10} LIMIT_MS=${LIMIT_MS:-50}
bin=${BIN:-target/release}
callers=400

command -v wrk > /dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy wrk; } > /dev/null
[ -n "${BIN:-}" ] || cargo build --release --locked --quiet -p b24sync -p b24sync-portal-emulator

source tests/bench/setting.sh

"$bin/portal-emulator" --port 0 --deals "$deals" --leads 0 --contacts 0 --companies 0 --print-url > "$work/portal.log" 2>&1 &
pids+=($!)
BITRIX_WEBHOOK_URL=$(await "$work/portal.log" 'http://[^ ]*/rest/[^ ]*')
secret='a-shared-secret-of-the-project-that-is-long-enough'
export BITRIX_WEBHOOK_URL BITRIX_ALLOW_LOOPBACK=true B24SYNC_DATA_DIR="$work/data"
export BITRIX_RATE_PER_SECOND=10000 BITRIX_RATE_BURST=100000
export SUPABASE_URL=http://127.0.0.1:9 SUPABASE_JWT_SECRET=$secret API_TRUSTED_PROXIES=127.0.0.1
export METRICS_TOKEN='whoever-watches-the-service-knows-this'

encode() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
mint() { # NUMBER
  local now head claims signature
  now=$(date +%s)
  head=$(printf '{"alg":"HS256","typ":"JWT"}' | encode)
  claims=$(printf '{"iss":"%s/auth/v1","aud":"authenticated","role":"authenticated","sub":"5f1d9a3e-2c1b-4d6e-9f00-%012d","iat":%d,"exp":%d,"app_metadata":{"b24sync_role":"operator"}}' "$SUPABASE_URL" "$1" "$now" "$((now + 7200))" | encode)
  signature=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -hmac "$secret" -binary | encode)
  printf '%s.%s.%s\n' "$head" "$claims" "$signature"
}
for number in $(seq "$callers"); do mint "$number"; done > "$work/tokens"
token=$(mint 0)

"$bin/b24sync" serve --host 127.0.0.1 --port 0 > "$work/service.log" 2>&1 &
service=$!
pids+=("$service")
address=$(await "$work/service.log" 'listening on http://[^ "]*' | cut -d' ' -f3)

cat > "$work/load.lua" << 'LUA'
local tokens, threads = {}, 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init()
  for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end
  turn = number * 97
end
function delay() return tonumber(os.getenv("PAUSE_MS")) end
function request()
  turn = turn % #tokens + 1
  local address = string.format("203.0.%d.%d", turn / 250, turn % 250 + 1)
  local token = wrk.path == "/metrics" and os.getenv("METRICS_TOKEN") or tokens[turn]
  return wrk.format("GET", nil, { Authorization = "Bearer " .. token, ["X-Forwarded-For"] = address })
end
function done(summary, latency)
  local errors = summary.errors
  local refused = wrk.path:find("/webhooks/registered") and summary.requests - errors.status or errors.status
  local failed = refused + errors.connect + errors.read + errors.write + errors.timeout
  local p99 = latency:percentile(99) / 1000
  local verdict = ""
  if failed > 0 then verdict = string.format("  %d FAILED", failed) end
  if p99 > tonumber(os.getenv("LIMIT")) then verdict = verdict .. "  TOO SLOW" end
  print(string.format("row %7.0f %8.2f %8.2f %8.2f%s", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, p99, latency.max / 1000, verdict))
end
LUA

ask() { # METHOD PATH
  curl -sS --fail -X "$1" -H "Authorization: Bearer $token" "$address$2"
}
running() { ask GET /api/v1/sync/running | grep -q '"status":"running"'; }
stores() { ask GET /api/v1/sync/running | grep -qE '"records_processed":[1-9]'; }
# Has a full sync of deals at work, with its first pages stored.
sync() {
  for _ in $(seq 600); do
    if running && stores; then return; fi
    running || ask POST /api/v1/sync/start/deal > /dev/null
    sleep 0.1
  done
  echo 'no sync begins' >&2
  return 1
}
settle() { while running; do sleep 0.5; done; }

"$bin/b24sync" openapi > "$work/openapi.json"
mapfile -t paths < <(python3 -c '
import json, sys
paths = json.load(open(sys.argv[1]))["paths"]
for path, methods in paths.items():
    if "get" in methods and not path.endswith("/events"):
        print(path.replace("{entity}", "deal"))
print("/api/v1/openapi.json", "/docs/index.html", sep="\n")' "$work/openapi.json")

measure() { # PATH
  LIMIT=$LIMIT_MS TOKENS=$work/tokens wrk -t1 -c"$CONNECTIONS" -d"${seconds}s" -s "$work/load.lua" "$address$1" | sed -n 's/^row//p'
}
phase() { # TITLE BUSY|IDLE
  printf '\n%s\n%-32s %7s %8s %8s %8s\n' "$1" 'path' 'req/s' 'p50 ms' 'p99 ms' 'max ms'
  for path in "${paths[@]}"; do
    while true; do
      [ "$2" = IDLE ] || sync
      line=$(measure "$path")
      if [ "$2" = IDLE ] || running; then break; fi
    done
    printf '%-32s%s\n' "$path" "$line"
    [[ $line != *FAILED* && $line != *SLOW* ]] || bad=1
  done
  printf 'the service took %s MiB at most so far\n' "$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$service/status")"
}

bad=0
echo "$(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), $deals deals, $CONNECTIONS connections with a pause of $PAUSE_MS ms"
sync
phase 'the first full sync, while the table grows' BUSY
settle
phase 'nothing but the requests' IDLE
phase 'another full sync, over the whole table' BUSY
exit "$bad"
