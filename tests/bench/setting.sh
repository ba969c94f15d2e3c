# What the measuring scripts share: a folder, a PostgreSQL of their own, and the end of all that they start.
# shellcheck shell=bash

work=$(mktemp -d)
chmod 777 "$work"
pids=()
postgres=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1)")
as_owner() { if [ "$(id -u)" = 0 ]; then su postgres -s /bin/bash -c "$1"; else bash -c "$1"; fi; }
finish() {
  kill "${pids[@]}" 2> /dev/null || true
  wait 2> /dev/null || true
  as_owner "$postgres/pg_ctl -D $work/pg stop -m immediate" > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

# Waits until a line of a log has this form, and prints the part that has it.
await() { # FILE PATTERN
  for _ in $(seq 600); do
    grep -oE "$2" "$1" 2> /dev/null | head -n 1 | grep . && return
    sleep 0.1
  done
  cat "$1" >&2
  return 1
}

# Starts PostgreSQL with its usual durability on a free port, `$port`.
start_postgres() {
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  as_owner "$postgres/initdb -D $work/pg -U bench --auth=trust -E UTF8 --no-locale > /dev/null && $postgres/pg_ctl -D $work/pg -w -l $work/pg.log -o '-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work' start > /dev/null"
}
