"""Checks of a message, chosen by its profile; and how a message is divided."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ingest.core.message_head import _MBOX_LINE, head_and_body
from ingest.core.refusals import Refusal
from posthouse.mail.message import Header, split
from servers.door import LOGIN, PLAIN, Running, Wire, login_with

GOOD = b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\nBody\r\n.\r\n"
FOREIGN = b"From: Jo <jo@x.example>\r\n\r\nBody\r\n.\r\n"

NAMES = st.sampled_from([b"From", b"received", b"FROM", b"x-from", b"from-", b"", b" from"])
PARTS = st.sampled_from([b"jo@a.example", b"\r\n ", b"\r\n\t", b" ", b"from:", b"\xff", b"1"])
LINES = st.tuples(
    NAMES,
    st.sampled_from([b":", b" :", b": ", b"\t: ", b"", b"::"]),
    st.lists(PARTS, max_size=5).map(b"".join),
).map(lambda parts: b"".join(parts) + b"\r\n")
CONTENT = st.lists(LINES | st.just(b"\r\n"), max_size=8)


@given(CONTENT)
def test_a_header_is_read_as_it_is_split_and_parsed(lines: list[bytes]) -> None:
    content = b"".join(lines)
    header, end = Header.read(content)
    assert Header.parse(split(content)[0]) == header
    assert b"".join(field.raw for field in header.fields) == content[:end]


@example([], b" ", 0)
@given(CONTENT, st.binary(max_size=20), st.integers(0, 20))
def test_a_message_is_divided_alike_in_pieces_and_whole(
    lines: list[bytes], body: bytes, cut: int
) -> None:
    """The header is in the first piece, as any that is not too large."""
    content = b"".join(lines) + body
    assume(_MBOX_LINE.match(content) is None)
    header, rest = split(content)
    end = len(content) - len(rest) + cut
    for pieces in ([content], [content[:end], content[end:]], [content[:end], b"", content[end:]]):
        found = head_and_body(pieces, 65_536)
        assert not isinstance(found, Refusal)
        assert (header, rest) == (found[0].octets, found[1])


@pytest.mark.parametrize("line", [b"X: y\r\n", b"X: " + b"y\r\n " * 1_000 + b"\r\n"])
def test_a_header_beyond_its_limit_is_not_parsed(line: bytes) -> None:
    """L9: what is looked at is twice the limit, not 25 MB; nothing else of it is touched."""

    class Watched(bytes):
        """Notes how much of it was taken."""

        taken = 0

        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            Watched.taken = max(Watched.taken, len(found) if isinstance(found, bytes) else 1)
            return found

    pieces = [Watched(line * (1_000_000 // len(line))), line * 10_000]
    found = head_and_body(pieces, 1_000)
    assert isinstance(found, Refusal)
    assert found.reply.text == "Header of more than 1000 octets, which is the limit"
    assert Watched.taken <= 2_000


# Over a session: what a profile of an account changes.


async def client_with(door: Running, **knobs: Any) -> Wire:
    """A client of an account whose profile has these knobs, given as group__knob."""
    door.directory.logins["user"] = login_with(**knobs)
    return await door.logged_in()


async def test_a_message_is_stored_with_its_profile_and_revision(door: Running) -> None:
    native = await door.logged_in()
    assert (await native.message(GOOD)).startswith("250 ")
    door.service._context.authenticator._remembered.clear()
    own = await client_with(door)
    assert (await own.message(GOOD)).startswith("250 ")
    stored = [(each.profile, each.profile_revision) for each in door.intake.accepted]
    assert [("native", 1), ("ours", 7)] == stored


async def test_X05_which_sender_is_checked_is_a_knob(door: Running) -> None:
    client = await client_with(door, sender__check_on="mail_from")
    assert (await client.message(FOREIGN)).startswith("250 ")
    assert (await client.say("MAIL FROM:<jo@x.example>")).startswith("550 5.7.1 Sender domain")


async def test_X05_the_texts_of_refusals_are_knobs(door: Running) -> None:
    client = await client_with(
        door,
        replies__foreign_from="Unconfigured Sending Domain <{domain}>",
        replies__foreign_sender="{domain} is not among {allowed}",
    )
    assert await client.message(FOREIGN) == "550 5.7.1 Unconfigured Sending Domain <x.example>"
    reply = await client.say("MAIL FROM:<jo@x.example>")
    assert reply == "550 5.7.1 x.example is not among a.example, b.example"


@pytest.mark.parametrize(
    ("knobs", "taken"),
    [
        ({"sender__check": "off"}, True),
        ({"sender__check_on": "from"}, False),
        ({"sender__empty_list_means": "all"}, False),  # it has domains
    ],
)
async def test_X05_whether_senders_are_checked_is_a_knob(
    door: Running, knobs: dict[str, str], *, taken: bool
) -> None:
    client = await client_with(door, **knobs)
    assert (await client.message(FOREIGN)).startswith("250 " if taken else "550 5.7.1 From domain")


async def test_X05_an_account_without_domains_may_be_open_to_all(door: Running) -> None:
    client = await client_with(door, sender__empty_list_means="all")
    door.directory.logins["user"] = replace(door.directory.logins["user"], domains=frozenset())
    door.service._context.authenticator._remembered.clear()
    assert (await client.message(FOREIGN)).startswith("250 ")


async def test_X15_the_text_of_success_is_a_knob(door: Running) -> None:
    client = await client_with(door, replies__accepted="Taken: {id}")
    reply = await client.message(GOOD)
    assert reply == f"250 2.0.0 Taken: {door.intake.accepted[0].id.hex}"


async def test_X18_a_smaller_size_of_the_profile_counts_after_login(door: Running) -> None:
    client = await client_with(door, size__max_message_octets=2_000)
    assert "250-SIZE 2000\n" in await client.say("EHLO again")
    reply = await client.say("MAIL FROM:<jo@a.example> SIZE=2001")
    assert reply == "552 5.3.4 Message larger than 2000 octets"
    large = GOOD.replace(b"Body", (b"x" * 70 + b"\r\n") * 30)
    assert await client.message(large) == "552 5.3.4 Message larger than 2000 octets"
    assert (await client.message(GOOD)).startswith("250 ")


async def test_X18_a_larger_size_of_the_profile_does_not_exceed_the_listener(
    door: Running,
) -> None:
    client = await client_with(door, size__max_message_octets=10**9)
    assert "250-SIZE 26214400\n" in await client.say("EHLO again")


async def test_a_profile_of_a_newer_version_is_no_reason_to_give_up(door: Running) -> None:
    door.directory.logins["user"] = replace(LOGIN, profile="later")
    client = await door.connect()
    await client.say("EHLO x")
    reply = await client.say(f"AUTH PLAIN {PLAIN}")
    assert reply == "454 4.7.0 Temporary authentication failure, try again in a minute"


async def test_a_profile_that_changes_counts_for_the_next_message(
    door: Running, client: Wire
) -> None:
    door.service._context.authenticator._remembered.clear()
    door.directory.logins["user"] = replace(LOGIN, domains=frozenset({"x.example"}))
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("550 5.7.1 ")
    assert await client.say("MAIL FROM:<jo@x.example>") == "250 2.1.0 Ok"


LONGEST = {"require": 998, "ignore": 5_000, "repair": 5_000}


@pytest.mark.parametrize(("knob", "limit"), LONGEST.items())
async def test_X11_how_long_a_line_may_be_is_a_knob(door: Running, knob: str, limit: int) -> None:
    client = await client_with(door, conformance__long_lines=knob)
    good = GOOD.removesuffix(b".\r\n") + b"x" * limit
    assert (await client.message(good + b"\r\n.\r\n")).startswith("250 ")
    heard = await client.message(good + b"x\r\n.\r\n")
    refused = f"550 5.6.0 A line is longer than {limit} octets"
    assert heard.startswith(refused if knob == "require" else "250 ")
