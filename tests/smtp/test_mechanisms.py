"""Mechanisms of AUTH as the examples of their RFCs have them, and in a session without sockets."""

from base64 import b64decode, b64encode
from hmac import digest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.reply import Reply
from posthouse.mail.scram import ScramKeys
from posthouse.smtp import replies
from posthouse.smtp.commands import Mail
from posthouse.smtp.mechanisms import (
    MECHANISMS,
    CramExchange,
    CramResponse,
    ScramExchange,
    ScramProof,
    ScramRequest,
)
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import AuthRequest, ServerConfig

# RFC 7677 section 3.
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def said(result: object) -> bytes:
    """What a challenge says."""
    assert isinstance(result, Reply)
    assert result.code == 334
    return b64decode(result.text)


def test_X03_scram_as_its_rfc_has_it() -> None:
    keys = ScramKeys.of("pencil", SALT)
    assert keys == ScramKeys.from_bytes(bytes(keys))
    exchange = ScramExchange(NONCE)
    assert ScramRequest("user") == exchange.take(CLIENT_FIRST)
    assert said(exchange.send_salt(SALT, 4_096)) == SERVER_FIRST
    proof = exchange.take(CLIENT_FINAL)
    assert isinstance(proof, ScramProof)
    assert keys.proves(proof.auth_message, proof.proof)
    assert not ScramKeys.of("pencils", SALT).proves(proof.auth_message, proof.proof)
    assert b64encode(keys.server_signature(proof.auth_message)).decode() == SERVER_FINAL


def test_C06_cram_as_its_rfc_has_it() -> None:
    """RFC 2195 section 2."""
    exchange = CramExchange("1896.697170952@postoffice.reston.mci.net")
    assert said(exchange.first_challenge) == b"<1896.697170952@postoffice.reston.mci.net>"
    response = exchange.take(b"tim b913a602c7eda7a495b4e6e7334d3890")
    assert isinstance(response, CramResponse)
    assert ("tim", "b913a602c7eda7a495b4e6e7334d3890") == (response.username, response.digest)
    assert digest(b"tanstaaftanstaaf", response.challenge, "md5").hex() == response.digest


@pytest.mark.parametrize(
    "first",
    [
        b"p=tls-unique,,n=user,r=x",  # channel binding, which we do not offer
        b"n,a=other,n=user,r=x",  # acts for another
        b"n,,m=ext,n=user,r=x",  # a mandatory extension
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n=user,r=x",
        b"\xff",
        b"",
    ],
)
def test_a_client_that_begins_scram_wrongly_is_told(first: bytes) -> None:
    assert ScramExchange("n").take(first) is replies.AUTH_GARBLED


@pytest.mark.parametrize(
    "change",
    [
        (b"c=biws", b"c=eSws"),  # it says that it saw another header: an attacker between us
        (b"r=rOpr", b"r=xOpr"),
        (b"$k0,p", b"$k1,p"),
        (b"p=dHzb", b"p=!!!!"),
        (b"p=dHzb", b"p="),
        (b",p=", b",q="),
    ],
)
def test_a_proof_for_another_conversation_is_none(change: tuple[bytes, bytes]) -> None:
    exchange = ScramExchange(NONCE)
    exchange.take(CLIENT_FIRST)
    exchange.send_salt(SALT, 4_096)
    assert exchange.take(CLIENT_FINAL.replace(*change)) is replies.AUTH_GARBLED


@given(st.sampled_from(sorted(MECHANISMS)), st.lists(st.binary(max_size=60), max_size=3))
def test_no_response_makes_a_mechanism_fail(name: str, responses: list[bytes]) -> None:
    exchange = MECHANISMS[name](lambda: "nonce")
    for response in responses:
        result = exchange.take(response)
        if isinstance(exchange, ScramExchange) and isinstance(result, ScramRequest):
            exchange.send_salt(SALT, 4_096)


def session(*mechanisms: str) -> SmtpServer:
    config = ServerConfig(
        hostname="mx.example", max_message_octets=1_000, mechanisms=mechanisms, nonce=lambda: NONCE
    )
    server = SmtpServer(config, lambda *_: None)
    server.receive(b"EHLO client.example\r\n")
    assert server.next_event() is None
    return server


def line(server: SmtpServer, text: bytes) -> object:
    """Give the server a line of base64; its event."""
    server.take_output()
    server.receive(b64encode(text) + b"\r\n")
    return server.next_event()


def until_the_last_word() -> SmtpServer:
    server = session("PLAIN", "SCRAM-SHA-256")
    server.receive(b"AUTH scram-sha-256 " + b64encode(CLIENT_FIRST) + b"\r\n")
    assert ScramRequest("user") == server.next_event()
    server.take_output()
    server.send_salt(SALT, 4_096)
    assert server.take_output() == b"334 " + b64encode(SERVER_FIRST) + b"\r\n"
    assert isinstance(line(server, CLIENT_FINAL), AuthRequest)
    server.log_in(500, b"v=" + SERVER_FINAL.encode())
    assert server.take_output() == b"334 " + b64encode(b"v=" + SERVER_FINAL.encode()) + b"\r\n"
    return server


def test_X03_the_server_proves_itself_before_it_says_235() -> None:
    server = until_the_last_word()
    assert line(server, b"") is None
    assert server.take_output().startswith(b"235 2.7.0 ")
    server.receive(b"MAIL FROM:<jo@a.example>\r\n")
    assert isinstance(server.next_event(), Mail)


def test_a_client_that_does_not_believe_the_server_is_not_logged_in() -> None:
    server = until_the_last_word()
    server.receive(b"*\r\nMAIL FROM:<jo@a.example>\r\n")
    assert server.next_event() is None
    assert [b"501", b"530"] == [each[:3] for each in server.take_output().splitlines()]


def test_C06_the_mechanisms_of_a_listener_are_those_that_it_offers() -> None:
    server = session("CRAM-MD5", "LOGIN", "PLAIN")
    assert b"250 AUTH CRAM-MD5 LOGIN PLAIN\r\n" in server.take_output()
    server.receive(b"AUTH SCRAM-SHA-256\r\nAUTH CRAM-MD5\r\n")
    assert server.next_event() is None
    expected = b"504 5.5.4 Mechanisms are CRAM-MD5, LOGIN, PLAIN\r\n334 "
    assert server.take_output().startswith(expected)
