keytool -importcert -noprompt -alias relay -file /etc/ssl/relay.crt -keystore relay.jks -storepass changeit
