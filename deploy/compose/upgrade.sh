#!/bin/sh
# Replaces the services of the running stack one by one, while mail goes on.
#
#     upgrade.sh              by an image of these sources, after a backup into this folder
#     upgrade.sh --no-build   by the image that RELAY_IMAGE names, which is there
#     upgrade.sh back         by the image that ran before the last upgrade; the schema stays
#
# With --env-file: COMPOSE_ENV_FILES=FILE.
set -eu
here=$(pwd)
cd "$(dirname "$0")/../.."

running=$(docker compose ps --quiet ingest | head -n 1)
id=$(docker inspect --format '{{.Image}}' "$running")
name=$(docker inspect --format '{{.Config.Image}}' "$running")
before=${name%:*}:before

replace() {
    for service in policy dispatcher bounces tracking webhooks console ingest; do
        docker compose up -d --wait --no-deps "$service" # else compose makes PostgreSQL anew, too
    done
}

if [ "${1:-}" = back ]; then
    docker tag "$before" "$name"
    replace
    exit
fi

(umask 077 && docker compose exec -T ingest posthouse backup - > "$here/before-upgrade.dump.new")
mv "$here/before-upgrade.dump.new" "$here/before-upgrade.dump"
docker tag "$id" "$before"
if [ "${1:-}" != --no-build ]; then
    REVISION=$(git rev-parse HEAD 2> /dev/null || echo unknown) docker compose build secrets
fi
docker compose run --rm -T --no-deps migrate
replace
