package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/smtp"
	"os"
)

func main() {
	letter, err := os.ReadFile("letter.eml")
	check(err)
	trusted := x509.NewCertPool()
	certificate, err := os.ReadFile("/etc/ssl/relay.crt")
	check(err)
	trusted.AppendCertsFromPEM(certificate)

	relay, err := smtp.Dial("relay.example.com:587")
	check(err)
	check(relay.StartTLS(&tls.Config{ServerName: "relay.example.com", RootCAs: trusted}))
	check(relay.Auth(smtp.PlainAuth("", "USER", "SECRET", "relay.example.com")))
	check(relay.Mail("shop@example.com"))
	check(relay.Rcpt("you@there.example"))
	data, err := relay.Data()
	check(err)
	_, err = data.Write(letter)
	check(err)
	check(data.Close())
	check(relay.Quit())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
