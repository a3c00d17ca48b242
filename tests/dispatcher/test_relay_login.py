"""SASL as relays want it: examples of the RFCs, the order of mechanisms, and nothing shown."""

from base64 import b64decode, b64encode

import pytest

from dispatcher.core.relay_login import HIDDEN, LoginDialog, RelayLogin

TIM = RelayLogin("tim", "tanstaaftanstaaf")
ALL = ("LOGIN", "CRAM-MD5", "XOAUTH2", "PLAIN")


def begun(offered: tuple[str, ...], *, encrypted: bool, login: RelayLogin = TIM) -> list[str]:
    """The commands of all mechanisms, in order."""
    dialog = LoginDialog(login, offered, encrypted=encrypted)
    return [command.split()[1] for command in iter(dialog.begin, None)]


def test_plain_as_in_rfc_4616() -> None:
    command = LoginDialog(TIM, ("PLAIN",), encrypted=True).begin()

    assert command is not None
    assert b64decode(command.removeprefix("AUTH PLAIN ")) == b"\0tim\0tanstaaftanstaaf"


def test_cram_md5_as_in_rfc_2195() -> None:
    dialog = LoginDialog(TIM, ("CRAM-MD5",), encrypted=True)
    assert dialog.begin() == "AUTH CRAM-MD5"

    challenge = b64encode(b"<1896.697170952@postoffice.reston.mci.net>").decode()
    response = dialog.respond(challenge)

    assert response is not None
    assert b64decode(response) == b"tim b913a602c7eda7a495b4e6e7334d3890"
    assert dialog.respond(challenge) is None


def test_encrypted_the_quickest_comes_first_and_in_clear_what_keeps_the_secret() -> None:
    assert begun(ALL, encrypted=True) == ["PLAIN", "LOGIN", "CRAM-MD5"]
    assert begun(ALL, encrypted=False) == ["CRAM-MD5", "PLAIN", "LOGIN"]
    assert begun(("XOAUTH2",), encrypted=True) == []


@pytest.mark.parametrize("octets", [355, 356, 400, 3000])
def test_a_response_too_long_for_a_command_line_follows_it(octets: int) -> None:
    """RFC 4954 section 4: the command keeps to 512 octets."""
    secret = "x" * octets
    dialog = LoginDialog(RelayLogin("apikey", secret), ("PLAIN",), encrypted=True)
    command = dialog.begin()
    assert command is not None
    assert len(command) + 2 <= 512

    response = command.partition("AUTH PLAIN ")[2] or dialog.respond("")

    assert response is not None
    assert b64decode(response) == f"\0apikey\0{secret}".encode()


def test_other_alphabets_are_utf_8() -> None:
    dialog = LoginDialog(RelayLogin("jörg", "geheimnisträger"), ("LOGIN",), encrypted=True)

    said = [dialog.begin(), dialog.respond("VXNlcm5hbWU6"), dialog.respond("UGFzc3dvcmQ6")]

    assert said[0] == "AUTH LOGIN"
    assert [b64decode(line or "").decode() for line in said[1:]] == ["jörg", "geheimnisträger"]
    assert dialog.respond("") is None


PLAIN = b64encode(b"\0tim\0tanstaaftanstaaf").decode()


@pytest.mark.parametrize(
    "text",
    [
        f"syntax error: AUTH PLAIN {PLAIN}",
        f"unknown: {PLAIN[:20]}...",
        f"unknown: {b64encode(b'tanstaaftanstaaf').decode()}",
        "tim may not log in with tanstaaftanstaaf",
        f"NOT UNDERSTOOD: {PLAIN.upper()}",
    ],
)
def test_what_repeats_our_login_is_not_shown(text: str) -> None:
    assert TIM.hide(text) == HIDDEN


def test_other_words_are_shown() -> None:
    for text in ("authentication failed for tim", "", "2.0.0 Ok: queued as 4F1", "tanst"):
        assert TIM.hide(text) == text


def test_a_short_secret_is_hidden_too() -> None:
    assert RelayLogin("tim", "pw1").hide("no PW1 here") == HIDDEN
    assert "pw1" not in repr(RelayLogin("tim", "pw1"))


@pytest.mark.parametrize("challenge", ["é", "not base64!"])
def test_there_is_no_answer_to_a_challenge_in_no_base64(challenge: str) -> None:
    dialog = LoginDialog(TIM, ("CRAM-MD5",), encrypted=True)
    dialog.begin()
    assert dialog.respond(challenge) is None
