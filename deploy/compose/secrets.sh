#!/bin/sh
# Makes the secrets of compose.yaml: files in deploy/compose/secrets, which git does not see. Passwords are drawn; what the
# portal and the project give is asked of the environment once, and may be written into the files later. Nothing that is
# there is changed.
#
#   BITRIX_WEBHOOK_URL=https://portal.bitrix24.com/rest/1/code/ deploy/compose/secrets.sh
set -eu
cd "$(dirname "$0")"
# The folder keeps others out; the files have to be read by the users of the containers.
umask 022
mkdir -p secrets
chmod 700 secrets

keep() { # NAME VALUE
  [ -e "secrets/$1" ] || printf '%s\n' "$2" > "secrets/$1"
}
drawn() {
  LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom | head -c 40
}

keep postgres_password "$(drawn)"
keep b24sync_password "$(drawn)"
keep grafana_password "$(drawn)"
password=$(cat secrets/b24sync_password)
# Plain text on the network of the containers only.
keep database_url "postgresql://b24sync:$password@pgbouncer:6432/crm?sslmode=disable"
keep database_url_direct "postgresql://b24sync:$password@postgres:5432/crm?sslmode=disable"
keep pgbouncer_users "\"b24sync\" \"$password\""
keep bitrix_webhook_url "${BITRIX_WEBHOOK_URL:-}"
keep bitrix_application_tokens "${BITRIX_APPLICATION_TOKENS:-}"
keep supabase_jwt_secret "${SUPABASE_JWT_SECRET:-}"

for name in bitrix_webhook_url bitrix_application_tokens; do
  [ -s "secrets/$name" ] && [ -n "$(cat "secrets/$name")" ] || echo "write it into deploy/compose/secrets/$name, in one line"
done
