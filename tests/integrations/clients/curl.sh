curl --url smtp://relay.example.com:587 --ssl-reqd --cacert /etc/ssl/relay.crt --user USER:SECRET \
     --mail-from shop@example.com --mail-rcpt you@there.example --crlf --upload-file letter.eml
