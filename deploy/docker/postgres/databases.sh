#!/usr/bin/env bash
# Make a database per service, owned by a role of the same name that no other role can follow there.
#
# PostgreSQL's image runs this once, when its volume is new. Run again it keeps what exists and sets the passwords
# to those in the environment: docker compose exec postgres bash /docker-entrypoint-initdb.d/databases.sh
set -euo pipefail

run() {
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres "$@"
}

# Also the two databases that come with the server hold nothing for a service.
run <<'SQL'
revoke connect on database postgres from public;
revoke connect on database template1 from public;
SQL

for service in intelligence visits funding notify; do
  variable="QC_${service^^}_DB_PASSWORD"
  if [ -z "${!variable:-}" ]; then
    echo "$variable is empty: set it in .env, see .env.example" >&2
    exit 1
  fi
  # psql reads the password itself: on its command line every process could.
  PASSWORD_OF_ROLE="${!variable}" run --set=name="qc_$service" <<'SQL'
\getenv password PASSWORD_OF_ROLE
select format('create role %I', :'name')
where not exists (select from pg_roles where rolname = :'name') \gexec
alter role :"name" login password :'password';
select format('create database %I owner %I', :'name', :'name')
where not exists (select from pg_database where datname = :'name') \gexec
revoke all on database :"name" from public;
SQL
done
