#!/bin/sh
# Makes the passwords that PostgreSQL, RabbitMQ and Grafana of docker-compose.yml are given, once.
#
#     make_secrets.sh          make what is missing
#     make_secrets.sh renew    new passwords; deploy/compose/change_passwords.sh has them used
#
# The URLs in KEYS are the originals. What is lost is made again of what is left, so that a password
# never differs from the one that a server has.
set -eu
KEYS=${KEYS:-/var/lib/posthouse}
DATABASE=${DATABASE:-/run/posthouse/database}
BROKER=${BROKER:-/run/posthouse/broker}
DASHBOARD=${DASHBOARD:-/run/posthouse/dashboard}
BROKERS=${BROKERS:-rabbitmq} # hosts, with blanks between them

made() { # 48 hexadecimal digits: they mean the same in a URL, in JSON and in SQL
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

kept() { # kept FILE MODE: standard input becomes FILE, whole or not at all
    umask 077
    cat > "$1.new"
    chmod "$2" "$1.new"
    mv "$1.new" "$1"
}

password_in() { # password_in FILE: of the URL in it
    sed -n 's#.*://posthouse:\([^@]*\)@.*#\1#p' "$1" 2>/dev/null || true
}

database=$(password_in "$KEYS/database.url")
broker=$(password_in "$KEYS/broker.url")
cookie=$(cat "$BROKER/cookie" 2>/dev/null || made)
dashboard=$(cat "$DASHBOARD/password" 2>/dev/null || made)
[ -n "$database" ] || database=$(cat "$DATABASE/password" 2>/dev/null || made)
[ -n "$broker" ] || broker=$(sed -n 's/.*"password": "\([^"]*\)".*/\1/p' "$BROKER/definitions.json" 2>/dev/null || true)
[ -n "$broker" ] || broker=$(made)
if [ "${1:-}" = renew ]; then
    database=$(made) broker=$(made) dashboard=$(made)
fi

echo "postgresql://posthouse:$database@postgres:5432/posthouse" | kept "$KEYS/database.url" 600
for host in $BROKERS; do
    urls="${urls:+$urls,}amqp://posthouse:$broker@$host:5672/"
done
echo "$urls" | kept "$KEYS/broker.url" 600
# Other users read these, in containers that have nothing else of ours.
printf %s "$database" | kept "$DATABASE/password" 444
printf %s "$cookie" | kept "$BROKER/cookie" 444
printf %s "$dashboard" | kept "$DASHBOARD/password" 444
kept "$BROKER/definitions.json" 444 << JSON
{
  "users": [{"name": "posthouse", "password": "$broker", "tags": ["administrator"]}],
  "vhosts": [{"name": "/"}],
  "permissions": [{"user": "posthouse", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]
}
JSON
