#!/bin/sh
# Runs once, when the database is made: a login of the service's own, which is no superuser and owns its database.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres << 'SQL'
\set password `cat /run/secrets/b24sync_password`
create role b24sync login password :'password';
create database crm owner b24sync;
revoke connect on database crm from public;
SQL
