from io import BytesIO
from pathlib import Path

from twisted.internet import defer, endpoints, ssl, task
from twisted.internet.ssl import Certificate
from twisted.mail.smtp import ESMTPSenderFactory


@defer.inlineCallbacks
def main(reactor):
    relay = Certificate.loadPEM(Path("/etc/ssl/relay.crt").read_text())
    tls = ssl.optionsForClientTLS("relay.example.com", trustRoot=relay)
    done = defer.Deferred()
    factory = ESMTPSenderFactory(
        b"USER",
        b"SECRET",
        "shop@example.com",
        "you@there.example",
        BytesIO(Path("letter.eml").read_bytes()),
        done,
        contextFactory=tls,
        requireTransportSecurity=True,
        hostname="relay.example.com",
    )
    yield endpoints.HostnameEndpoint(reactor, "relay.example.com", 587).connect(factory)
    yield done


task.react(main)
