#!/usr/bin/env bash
# Holds the served HTTP interface against its own OpenAPI description with generated requests (schemathesis): no 5xx, no
# status, header or body that the description does not have. Prints how many answers of each status there were; fails where
# more than a tenth is 429, or less than a fifth is 2xx, or it takes more than three minutes.
#
#   tests/contract/fuzz-api.sh SCHEMATHESIS     path of the program; EXAMPLES=100 an endpoint
#
# Starts what it needs: an emulated portal, a private PostgreSQL, and the service, on free ports, in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."

schemathesis=$1
bin=${BIN:-target/debug}
work=$(mktemp -d)
chmod 755 "$work"
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"' EXIT

"$bin/portal-emulator" --port 0 --deals 200 --print-url > "$work/portal.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
  webhook=$(grep -oE 'http://[^ ]*/rest/[^ ]*' "$work/portal.log" | head -n 1 || true)
  [ -n "$webhook" ] && break
  sleep 0.1
done

secret='a-shared-secret-of-the-project-that-is-long-enough'
export BITRIX_WEBHOOK_URL=$webhook BITRIX_ALLOW_LOOPBACK=true B24SYNC_DATA_DIR="$work/data"
export BITRIX_RATE_PER_SECOND=10000 BITRIX_RATE_BURST=100000
export SUPABASE_URL=http://127.0.0.1:9 SUPABASE_JWT_SECRET=$secret API_TRUSTED_PROXIES=127.0.0.1
"$bin/b24sync" serve --host 127.0.0.1 --port 0 > "$work/service.log" 2>&1 &
pids+=($!)
for _ in $(seq 600); do
  address=$(grep -oE 'listening on http://[^ ]*' "$work/service.log" | cut -d' ' -f3 || true)
  [ -n "$address" ] && break
  sleep 0.1
done
[ -n "$address" ] || { cat "$work/service.log"; exit 1; }

status=0
export SCHEMATHESIS_HOOKS=hooks PYTHONPATH=tests/contract PYTHONDONTWRITEBYTECODE=1 ANSWERS="$work/answers"
timeout 180 "$schemathesis" run "$address/api/v1/openapi.json" --url "$address" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --exclude-path /api/v1/events \
  --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-100}" --seed 1 --generation-deterministic \
  --request-timeout 20 --workers 1 --no-color || status=$?
[ "$status" -ne 124 ] || echo 'it took more than 3 minutes'
# What is refused because there was too much of it says nothing about the interface.
awk '{ all += $2; printf "%s: %d  ", $1, $2; if ($1 == 429) refused = $2; if ($1 ~ /^2/) good += $2 }
  END { print ""; if (refused * 10 > all) { print "more than a tenth of the answers is 429"; exit 1 }
        if (good * 5 < all) { print "less than a fifth of the answers is 2xx"; exit 1 } }' "$ANSWERS" || status=1
grep -i panicked "$work/service.log" && status=1
exit "$status"
