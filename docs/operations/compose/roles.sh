#!/bin/sh
# Runs once, when the database volume is empty: the roles of Vigilo with the passwords of
# the compose file, and the database of Vigilo, which vigilo_owner owns.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -f /roles/bootstrap.sql
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
	-v owner="$VIGILO_OWNER_PASSWORD" -v app="$VIGILO_APP_PASSWORD" -v system="$VIGILO_SYSTEM_PASSWORD" <<'SQL'
ALTER ROLE vigilo_owner PASSWORD :'owner';
ALTER ROLE vigilo_app PASSWORD :'app';
ALTER ROLE vigilo_system PASSWORD :'system';
CREATE DATABASE vigilo OWNER vigilo_owner;
SQL
