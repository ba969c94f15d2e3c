#!/usr/bin/env bash
# How soon the service is ready, how much memory it takes when nothing happens, and how large the program is.
#
#   tests/bench/startup.sh [ROUNDS]        5. BIN=target/release IDLE=20
#
# Ready is when /health/ready says yes: settings read, database reached and up to date, listening. The database has its
# tables and a full sync behind it, so that nothing is due; memory is what the process has after IDLE seconds (VmRSS), and
# the most that it had until then (VmHWM).
set -euo pipefail
cd "$(dirname "$0")/../.."

rounds=${1:-5} idle=${IDLE:-20} bin=${BIN:-target/release}
[ -n "${BIN:-}" ] || cargo build --release --locked --quiet -p b24sync -p b24sync-portal-emulator

source tests/bench/setting.sh
start_postgres
"$bin/portal-emulator" --port 0 --deals 1000 --print-url > "$work/portal.log" 2>&1 &
pids+=($!)
BITRIX_WEBHOOK_URL=$(await "$work/portal.log" 'http://[^ ]*/rest/[^ ]*')
export BITRIX_WEBHOOK_URL BITRIX_ALLOW_LOOPBACK=true BITRIX_RATE_PER_SECOND=10000 BITRIX_RATE_BURST=100000
export DATABASE_URL=postgresql://bench@127.0.0.1:$port/postgres B24SYNC_DATA_DIR=$work/data
"$bin/b24sync" sync --all --full > /dev/null 2>&1

python3 - "$bin/b24sync" "$rounds" "$idle" << 'PY'
import os, re, signal, statistics, subprocess, sys, time, urllib.request

program, rounds, idle = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

def memory(pid):
    status = open(f"/proc/{pid}/status").read()
    return [int(re.search(rf"{name}:\s*(\d+)", status)[1]) / 1024 for name in ("VmRSS", "VmHWM")]

def ready(address):
    try:
        return urllib.request.urlopen(f"{address}/health/ready", timeout=1).status == 200
    except OSError:
        return False

took, resident, most = [], [], []
for round in range(rounds):
    began = time.monotonic()
    log = open(f"{os.environ['B24SYNC_DATA_DIR']}.log", "w+")
    service = subprocess.Popen([program, "serve", "--host", "127.0.0.1", "--port", "0"], stdout=log, stderr=log)
    address = None
    while not (address and ready(address)):
        if service.poll() is not None or time.monotonic() - began > 60:
            sys.exit("the service did not become ready:\n" + open(log.name).read())
        found = re.search(r"listening on (http://[^ \"]*)", open(log.name).read())
        address = found[1] if found else None
        time.sleep(0.002)
    took.append((time.monotonic() - began) * 1000)
    time.sleep(idle)
    now, peak = memory(service.pid)
    resident.append(now)
    most.append(peak)
    service.send_signal(signal.SIGTERM)
    service.wait()
print(f"ready after {statistics.median(took):.0f} ms (from {min(took):.0f} to {max(took):.0f}, {rounds} starts)")
print(f"memory after {idle:.0f} s: {statistics.median(resident):.0f} MiB, at most {max(most):.0f} MiB until then")
print(f"program: {os.path.getsize(program) / 1e6:.1f} MB")
PY
