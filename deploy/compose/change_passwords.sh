#!/bin/sh
# New passwords for PostgreSQL and RabbitMQ of the running stack, while mail goes on. Also for a stack
# whose servers do not know the passwords that are there. With --env-file: COMPOSE_ENV_FILES=FILE.
set -eu
cd "$(dirname "$0")/../.."

docker compose run --rm -T --no-deps secrets renew
docker compose exec -T postgres sh -c 'psql -q -v ON_ERROR_STOP=1 -U posthouse -d posthouse' << 'SQL'
\set password `cat /run/posthouse/database/password`
ALTER ROLE posthouse PASSWORD :'password';
SQL
docker compose exec -T rabbitmq rabbitmqctl -q import_definitions /run/posthouse/broker/definitions.json

# Connections that are open stay; each service reads the new passwords at its start.
for service in ingest policy dispatcher bounces tracking webhooks console; do
    docker compose up -d --wait --force-recreate "$service"
done
