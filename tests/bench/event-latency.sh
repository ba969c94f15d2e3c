#!/usr/bin/env bash
# How long a change takes from the portal to its row, by way of an event, while the budget of requests is free.
#
#   tests/bench/event-latency.sh [CHANGES] [CHANGES_A_SECOND]     600 and 20
#
# Deals of an emulated portal are changed one after the other; each change writes the time into the title, and the row's
# `updated_at` is the time of the transaction that stored it. The portal, PostgreSQL and the service share one clock and the
# processors of this machine. Events leave the portal at once, so that this is the service's part alone.
set -euo pipefail
cd "$(dirname "$0")/../.."

changes=${1:-600}
rate=${2:-20}
bin=${BIN:-target/release}
token=51856fefc120afa4b628cc82d3935cce

[ -n "${BIN:-}" ] || cargo build --release --locked --quiet -p b24sync -p b24sync-portal-emulator

source tests/bench/setting.sh

start_postgres
sql() { "$postgres/psql" -h 127.0.0.1 -p "$port" -U bench -d postgres -qAtX -c "$1"; }

"$bin/portal-emulator" --port 0 --deals 5000 --leads 0 --contacts 0 --companies 0 --print-url > "$work/portal.log" 2>&1 &
pids+=($!)
BITRIX_WEBHOOK_URL=$(await "$work/portal.log" 'http://[^ ]*/rest/[^ ]*')
export BITRIX_WEBHOOK_URL BITRIX_ALLOW_LOOPBACK=true DATABASE_URL=postgresql://bench@127.0.0.1:$port/postgres
BITRIX_APPLICATION_TOKENS=$token "$bin/b24sync" serve --host 127.0.0.1 --port 0 > "$work/service.log" 2>&1 &
pids+=($!)
service=$(await "$work/service.log" 'listening on http://[^ "]*' | cut -d' ' -f3)
# Until the syncs that a service begins with are over, the sweeps among them.
for _ in $(seq 600); do
  [ "$(sql "select count(*) from sync_logs where sync_type = 'sweep' and status = 'completed'" 2> /dev/null || echo 0)" -ge 4 ] && break
  sleep 0.2
done
echo "$(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), $changes changes, $rate a second, 2 requests a second and a burst of 50"

python3 - "${BITRIX_WEBHOOK_URL%%/rest/*}" "$service" "$token" "$changes" "$rate" << 'PYTHON'
import json, sys, time, urllib.request
portal, service, token, changes, rate = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{portal}/__admin/{path}", data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))
ask("outgoing_webhook", {"handler_url": f"{service}/api/v1/webhooks/bitrix", "events": ["ONCRMDEALUPDATE"], "application_token": token})
ids = ask("ids?entity=deal")[:changes]
begin = time.time()
for number, id in enumerate(ids):
    time.sleep(max(0, begin + number / rate - time.time()))
    ask("edit", {"entity": "deal", "id": id, "fields": {"TITLE": str(int(time.time() * 1000))}})
PYTHON
for _ in $(seq 300); do
  [ "$(sql "select count(*) from b24sync.hints")" = 0 ] && break
  sleep 0.1
done
sql "select format('%s of $changes arrived; p50 %s ms, p95 %s ms, p99 %s ms, max %s ms', count(*), round(p[1]), round(p[2]), round(p[3]), round(max(ms))) from (select ms, (select percentile_cont(array[0.5, 0.95, 0.99]) within group (order by m) from (select extract(epoch from updated_at at time zone 'UTC') * 1000 - title::bigint as m from crm_deals where title ~ '^[0-9]{13}\$') x)::numeric[] as p from (select extract(epoch from updated_at at time zone 'UTC') * 1000 - title::bigint as ms from crm_deals where title ~ '^[0-9]{13}\$') y) z group by p"
echo "$(sql "select count(*) from sync_logs where sync_type = 'webhook'") drains"
