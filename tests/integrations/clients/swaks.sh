swaks --server relay.example.com --port 587 --tls --tls-verify --tls-ca-path /etc/ssl/relay.crt \
      --auth PLAIN --auth-user USER --auth-password SECRET \
      --from shop@example.com --to you@there.example --data @letter.eml
