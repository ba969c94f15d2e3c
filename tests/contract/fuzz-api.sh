#!/usr/bin/env bash
# Holds the served HTTP interface against its own OpenAPI description with generated requests (schemathesis): no 5xx, no
# status, header or body that the description does not have.
#
#   tests/contract/fuzz-api.sh SCHEMATHESIS     path of the program; EXAMPLES=25 a endpoint
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
export SUPABASE_URL=http://127.0.0.1:9 SUPABASE_JWT_SECRET=$secret
"$bin/b24sync" serve --host 127.0.0.1 --port 0 > "$work/service.log" 2>&1 &
pids+=($!)
for _ in $(seq 600); do
  address=$(grep -oE 'listening on http://[^ ]*' "$work/service.log" | cut -d' ' -f3 || true)
  [ -n "$address" ] && break
  sleep 0.1
done
[ -n "$address" ] || { cat "$work/service.log"; exit 1; }

encode() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
head=$(printf '{"alg":"HS256","typ":"JWT"}' | encode)
claims=$(printf '{"iss":"%s/auth/v1","aud":"authenticated","role":"authenticated","sub":"5f1d9a3e-2c1b-4d6e-9f00-0123456789ab","iat":%d,"exp":%d,"app_metadata":{"b24sync_role":"admin"}}' "$SUPABASE_URL" "$now" "$((now + 3600))" | encode)
signature=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -hmac "$secret" -binary | encode)
token="$head.$claims.$signature"

status=0
"$schemathesis" run "$address/api/v1/openapi.json" --url "$address" \
  --header "Authorization: Bearer $token" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --exclude-path /api/v1/events \
  --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-20}" --seed 1 --generation-deterministic \
  --request-timeout 20 --workers 1 --rate-limit 580/m --no-color || status=$?
grep -i panicked "$work/service.log" && status=1
exit "$status"
