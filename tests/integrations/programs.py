"""How the programs in `clients` are run, each with what it needs installed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from integrations.needed import CLIENTS, need, node_modules, python_with_clients
from integrations.world import World

Change: TypeAlias = tuple[str, str]
Command: TypeAlias = Sequence[object]

# What changes in a program, or its settings, for TLS from the first byte.
IMPLICIT: dict[str, tuple[Change, ...]] = {
    "smtplib": (
        ("relay = smtplib.SMTP(", "relay = smtplib.SMTP_SSL("),
        ("587)", "465, context=tls)"),
        ("relay.starttls(context=tls)\n", ""),
    ),
    "Django": (("587", "465"), ("EMAIL_USE_TLS", "EMAIL_USE_SSL")),
    "aiosmtplib": (("587", "465"), ("start_tls=True", "use_tls=True")),
    "nodemailer": (("587", "465"), ("requireTLS", "secure")),
    "PHPMailer": (("587", "465"), ("'tls'", "'ssl'")),
    "Symfony Mailer": (("smtp://", "smtps://"), ("587", "465")),
    "JavaMail": (("587", "465"), ("starttls.enable", "ssl.enable")),
    "Ruby mail": (("587", "465"), ("enable_starttls: true", "tls: true")),
    "ActionMailer": (("587", "465"), ("enable_starttls: true", "tls: true")),
    "Email::Sender": (("587", "465"), ("ssl => 'starttls'", "ssl => 'ssl'")),
    "swaks": (("587 --tls ", "465 -tlsc "),),
    "msmtp": (("587", "465\ntls_starttls off"),),
    "curl": (("smtp://", "smtps://"), ("587", "465")),
    "s-nail": (("smtp://", "smtps://"), ("587", "465"), ("smtp-use-starttls ", "")),
    "git": (("587", "465"), ("smtpEncryption = tls", "smtpEncryption = ssl")),
}
_PERL_TLS = ("libnet-ssleay-perl", "libio-socket-ssl-perl", "libauthen-sasl-perl")
_JARS = "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar"


async def command(world: World, client: str, *changes: Change) -> Command:
    """What runs *client*, whose program or settings have *changes*."""
    return await _CLIENTS[client](world, changes)


def _python(file: str) -> Callable[[World, Sequence[Change]], Awaitable[Command]]:
    async def run(world: World, changes: Sequence[Change]) -> Command:
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        trusted = [f"{name}={world.certificate}" for name in names]
        return ["env", *trusted, python_with_clients(), world.put(CLIENTS / file, *changes)]

    return run


def _node(file: str) -> Callable[[World, Sequence[Change]], Awaitable[Command]]:
    async def run(world: World, changes: Sequence[Change]) -> Command:
        (world.folder / "node_modules").symlink_to(node_modules())
        trusted = f"NODE_EXTRA_CA_CERTS={world.certificate}"
        return ["env", trusted, "node", world.put(CLIENTS / file, *changes)]

    return run


def _other(
    line: str, file: str, *packages: str
) -> Callable[[World, Sequence[Change]], Awaitable[Command]]:
    """By *line* of the shell, in which {file} is the program or its settings."""

    async def run(world: World, changes: Sequence[Change]) -> Command:
        need(*packages)
        copy = world.put(CLIENTS / file, *changes)
        copy.chmod(0o600)  # msmtp wants it, as there is a secret in it
        to, certificate = world.recipient, world.certificate
        return ["sh", "-c", line.format(file=copy, to=to, certificate=certificate)]

    return run


async def _java(world: World, changes: Sequence[Change]) -> Command:
    need("default-jdk-headless", "libmail-java", "libactivation-java")
    trusting = world.put(CLIENTS / "trust.sh")
    await world.succeeds(["sh", trusting])
    trusted = "-Djavax.net.ssl.trustStore=relay.jks"
    secret = "-Djavax.net.ssl.trustStorePassword=changeit"
    return ["java", trusted, secret, "-cp", _JARS, world.put(CLIENTS / "Send.java", *changes)]


_CLIENTS: dict[str, Callable[[World, Sequence[Change]], Awaitable[Command]]] = {
    "smtplib": _python("smtplib_client.py"),
    "Django": _python("django_client.py"),
    "aiosmtplib": _python("aiosmtplib_client.py"),
    "Twisted": _python("twisted_client.py"),
    "httpx": _python("httpx_client.py"),
    "sendgrid": _python("sendgrid_client.py"),
    "sendgrid, many": _python("sendgrid_many.py"),
    "django-anymail": _python("anymail_client.py"),
    "nodemailer": _node("nodemailer.js"),
    "emailjs": _node("emailjs.mjs"),
    "nodemailer, SES": _node("nodemailer_ses.js"),
    "@sendgrid/mail": _node("sendgrid.js"),
    "PHPMailer": _other("php {file}", "phpmailer.php", "php-cli", "libphp-phpmailer"),
    "Symfony Mailer": _other(
        "php -d openssl.cafile={certificate} {file}",
        *("symfony.php", "php-cli", "php-symfony-mailer"),
    ),
    "JavaMail": _java,
    "Ruby mail": _other("ruby {file}", "mail.rb", "ruby-mail"),
    "ActionMailer": _other("ruby {file}", "actionmailer.rb", "ruby-actionmailer"),
    "Email::Sender": _other("perl {file}", "sender.pl", "libemail-sender-perl", *_PERL_TLS),
    "MIME::Lite": _other("perl {file}", "lite.pl", "libmime-lite-perl", "libauthen-sasl-perl"),
    "Go net/smtp": _other("go run {file}", "main.go", "golang-go"),
    "swaks": _other("sh {file}", "swaks.sh", "swaks", "libdigest-hmac-perl", *_PERL_TLS),
    "msmtp": _other("msmtp -C {file} -- {to} < letter.eml", "msmtprc", "msmtp"),
    "curl": _other("sh {file}", "curl.sh", "curl"),
    "s-nail": _other(
        'MAILRC={file} s-nail -:u -S DEAD=dead.letter -s "$(cat subject.txt)" {to} < text.txt',
        *("s-nail.rc", "s-nail"),
    ),
}
