"""Our login at a real relay: Postfix with Cyrus SASL, by STARTTLS, implicit TLS and in clear."""

import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trustme

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.relay_login import RelayLogin
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.router import MxResolver
from posthouse.mail.outcome import Deferred, Delivered
from servers.patience import until
from servers.sasl_postfix import SECRET, USER, SaslPostfix, running_postfix

MESSAGE = Envelope("s@sender.example", ("x@dest.example",), b"Subject: hi\r\n\r\n", b"text\r\n")
LOGIN = RelayLogin(USER, SECRET)
AUTHORITY = trustme.CA()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to other users, as pytest's are not."""
    made = Path(tempfile.mkdtemp(prefix="posthouse-postfix-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def running(folder: Path, mechanisms: str) -> AbstractAsyncContextManager[SaslPostfix]:
    chain = AUTHORITY.issue_cert("localhost").private_key_and_cert_chain_pem.bytes()
    return running_postfix(folder, chain, mechanisms)


def pool() -> ConnectionPool:
    def trusted() -> ssl.SSLContext:
        context = ssl.create_default_context()
        AUTHORITY.configure_trust(context)
        return context

    nowhere = MxResolver(["127.0.0.1:9"])
    return ConnectionPool("sender.example", nowhere, RefusedHosts(frozenset()), trusted=trusted)


def route(port: int, tls: TlsPolicy, login: RelayLogin | None = LOGIN) -> Route:
    return Route((("localhost",),), port, "relay", tls, static=True, login=login)


@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN CRAM-MD5", "PLAIN", "LOGIN", "CRAM-MD5"])
async def test_every_mechanism_logs_in_by_every_route_that_people_use(
    folder: Path, mechanisms: str
) -> None:
    async with running(folder, mechanisms) as postfix:
        sender = pool()
        for port, tls in (
            (postfix.starttls, TlsPolicy.VERIFIED),
            (postfix.implicit, TlsPolicy.IMPLICIT),
            (postfix.clear, TlsPolicy.CLEAR),
        ):
            sent = await sender.send(route(port, tls), MESSAGE)
            again = await sender.send(route(port, tls), MESSAGE)

            assert isinstance(sent.outcomes[0], Delivered), sent
            assert isinstance(again.outcomes[0], Delivered), again
            assert sent.tls.startswith("TLSv1.") is (tls is not TlsPolicy.CLEAR)
        await sender.close()
        await until(lambda: postfix.taken() == 6)


async def test_what_it_refuses_is_deferred_and_shows_no_secret(folder: Path) -> None:
    async with running(folder, "PLAIN LOGIN CRAM-MD5") as postfix:
        sender = pool()
        wrong = RelayLogin(LOGIN.user, "another-secret-0815")
        refused = await sender.send(route(postfix.implicit, TlsPolicy.IMPLICIT, wrong), MESSAGE)
        without = await sender.send(route(postfix.starttls, TlsPolicy.VERIFIED, None), MESSAGE)
        await sender.close()

    outcome = refused.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert (outcome.reply.code, outcome.reply.enhanced) == (535, "5.7.8")
    assert "another-secret" not in str(refused)
    assert not isinstance(without.outcomes[0], Delivered)
