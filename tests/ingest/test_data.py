"""Messages over a socket: nothing is smuggled, and memory stays within its budget."""

import base64
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from ingest.backpressure import MemoryBudget
from posthouse.mail.message import has_bare_line_end
from posthouse.mail.secret import hash_secret
from posthouse.profiles.choices import LineEndings
from servers.door import LOGIN, PEPPER, OpenDoor, Running, Wire, login_with
from servers.patience import until

HEADER = b"From: jo@a.example\r\n\r\n"

SMUGGLED = (
    b"MAIL FROM:<jo@a.example>\r\nRCPT TO:<y@there.example>\r\nDATA\r\n"
    b"From: jo@a.example\r\n\r\nsmuggled\r\n"
)


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\0\r\n.\0\r\n",
     b"\r\n\0.\r\n", b"\n\n.\r\n", b"\r\r.\r\r", b"\r\n.\r\r\n", b"\n.\r", b"\r.\n"],
)  # fmt: skip
@pytest.mark.parametrize("knob", LineEndings)
async def test_X11_nothing_is_smuggled(door: Running, end: bytes, knob: LineEndings) -> None:
    """A false end is part of the message, which is cleaned or refused; and the client may stay."""
    door.directory.logins["user"] = login_with(conformance__line_endings=knob)
    client = await door.logged_in()
    reply = await client.message(HEADER + b"one" + end + SMUGGLED + b".\r\n")
    assert await client.say("NOOP") == "250 2.0.0 Ok"
    if knob is LineEndings.REFUSE:
        assert reply == "550 5.5.2 Lines end with <CR><LF>; bare CR, bare LF or NUL seen"
        assert door.intake.accepted == []
        return
    assert reply.startswith("250 ")
    (message,) = door.intake.accepted
    assert HEADER == message.header
    assert message.body.startswith(b"one")
    assert message.body.endswith(SMUGGLED)
    assert not has_bare_line_end(message.body)
    (note,) = message.attributes.notes
    assert note.startswith("line ends were cleaned: ")


async def test_a_client_whose_messages_are_refused_may_go_on(door: Running) -> None:
    """RFC 5321 section 3.8: only 421 and QUIT end a connection."""
    door.directory.logins["user"] = login_with(conformance__line_endings="refuse")
    client = await door.logged_in()
    for _ in range(30):
        assert (await client.message(HEADER + b"a\nb\r\n.\r\n")).startswith("550 5.5.2 ")
    assert (await client.message(HEADER + b"b\r\n.\r\n")).startswith("250 ")


async def test_a_listener_may_refuse_what_the_profile_cleans(open_door: OpenDoor) -> None:
    door = await open_door("opportunistic+line_endings=refuse")
    client = await door.logged_in()
    assert (await client.message(HEADER + b"a\nb\r\n.\r\n")).startswith("550 5.5.2 ")
    door.directory.logins["user"] = login_with(conformance__line_endings="clean")
    assert (await client.message(HEADER + b"a\nb\r\n.\r\n")).startswith("550 5.5.2 ")


async def test_a_bare_cr_makes_no_field(door: Running, client: Wire) -> None:
    header = b"From: jo@a.example\r\nSubject: one\rBcc: x@y.example\r\n\rReply-To: z@y.example\r\n"
    assert (await client.message(header + b"\r\nText\r\n.\r\n")).startswith("250 ")
    (message,) = door.intake.accepted
    assert header.replace(b"\rB", b" B").replace(b"\rR", b" R") + b"\r\n" == message.header


async def test_a_message_with_unix_lines_arrives_as_it_was_meant(
    door: Running, client: Wire
) -> None:
    """As smtplib sends octets that it is given."""
    text = HEADER.replace(b"\r\n", b"\n") + b"one\n..\n..two\n"
    assert (await client.message(text + b"\r\n.\r\n")).startswith("250 ")
    (message,) = door.intake.accepted
    assert (HEADER, b"one\r\n.\r\n.two\r\n\r\n") == (message.header, message.body)


async def test_a_line_may_have_any_length(door: Running, client: Wire) -> None:
    body = b"x" * 200_000 + b"\r\n"
    assert (await client.message(HEADER + body + b".\r\n")).startswith("250 ")
    assert body == door.intake.accepted[0].body


@pytest.mark.parametrize("line", [b"Subject: ", b" "])
async def test_a_field_that_exceeds_the_largest_header_is_no_body(
    open_door: OpenDoor, line: bytes
) -> None:
    door = await open_door(header_octets=65_536)
    client = await door.logged_in()
    field = line + b"x" * 300_000
    reply = await client.message(HEADER.removesuffix(b"\r\n") + field + b"\r\n\r\nText\r\n.\r\n")
    assert reply == "552 5.3.4 Header of more than 65536 octets, which is the limit"
    assert door.intake.accepted == []


async def test_a_message_beyond_size_is_refused_when_it_ends(open_door: OpenDoor) -> None:
    door = await open_door(message_octets=100_000)
    client = await door.logged_in()
    big = HEADER + (b"x" * 76 + b"\r\n") * 20_000 + b".\r\n"
    assert await client.message(big) == "552 5.3.4 Message larger than 100000 octets"
    assert (await client.message(HEADER + b"small\r\n.\r\n")).startswith("250 ")
    assert len(door.intake.accepted) == 1


async def test_a_message_of_many_pieces_arrives_whole(door: Running, client: Wire) -> None:
    body = b"".join(b"%d %s\r\n" % (i, b"x" * 70) for i in range(20_000))
    assert (await client.message(HEADER + body + b".\r\n")).startswith("250 ")
    assert door.intake.accepted[0].body == body


FULL = "452 4.3.1 Insufficient storage, try again later"
LINES = (b"x" * 76 + b"\r\n") * 250  # 19,500 octets


async def begin(client: Wire, content: bytes) -> None:
    """Send the first part of a message."""
    await client.envelope()
    await client.say("DATA")
    await client.send(content)


def given_up(door: Running) -> int:
    """How many messages that are coming in were given up."""
    return sum(session._receiver._given_up for session in door.service._context.connections.open)  # type: ignore[attr-defined]


async def other_client(door: Running) -> Wire:
    """A client with a credential of its own."""
    name = f"user{len(door.directory.logins)}"
    door.directory.logins[name] = replace(
        LOGIN, username=name, credential_id=UUID(int=99), secret_hash=hash_secret("x", PEPPER)
    )
    client = await door.connect()
    await client.say("EHLO other")
    encoded = base64.b64encode(f"\0{name}\0x".encode()).decode()
    assert (await client.say(f"AUTH PLAIN {encoded}")).startswith("235 ")
    return client


async def test_the_largest_message_of_the_credential_that_holds_most_is_given_up(
    open_door: OpenDoor,
) -> None:
    """M4: a credential that fills the memory stops itself, and no other one."""
    door = await open_door(octets_in_flight=100_000)
    memory = door.service._context.memory
    small, large = await door.logged_in(), await door.logged_in()
    other = await other_client(door)
    await begin(small, HEADER + LINES)
    await begin(other, HEADER + LINES)
    await until(lambda: memory.total > 2 * len(LINES))
    await begin(large, HEADER + LINES * 2)
    await until(lambda: given_up(door) == 1)

    assert await large.message_end(LINES + b".\r\n") == FULL
    assert (await small.message_end(b".\r\n")).startswith("250 ")
    assert (await other.message_end(b".\r\n")).startswith("250 ")
    assert memory.total == 0
    assert (await large.message(HEADER + b".\r\n")).startswith("250 ")


async def test_small_messages_of_others_go_on_while_one_credential_fills_its_share(
    open_door: OpenDoor,
) -> None:
    door = await open_door(octets_in_flight=100_000, message_octets=90_000)
    memory = door.service._context.memory
    greedy = [await door.logged_in() for _ in range(3)]
    for client in greedy:
        await begin(client, HEADER + LINES * 2)
    await until(lambda: given_up(door) == 2)
    assert memory.total <= 50_000
    other = await other_client(door)
    assert (await other.message(HEADER + LINES + b".\r\n")).startswith("250 ")
    answers = [(await client.message_end(b".\r\n"))[:3] for client in greedy]
    assert sorted(answers) == ["250", "452", "452"]


@dataclass(eq=False)
class Receiving:
    """A session that receives messages of a user."""

    credential: str
    is_given_up: bool = False

    def give_up_message(self) -> None:
        """As the budget asks."""
        self.is_given_up = True


def test_M4_users_that_fill_the_memory_leave_room_for_others() -> None:
    """Complete messages are not given up, and large ones may wait for their turn."""
    memory = MemoryBudget(1_000)
    for number in range(200):
        session = Receiving("ab"[number % 2])
        memory.keep(session, 10)
        if not session.is_given_up:
            memory.complete(session, 10)
    assert 870 <= memory.total <= 885
    for _ in range(5):
        session = Receiving("alerts")
        memory.keep(session, 20)
        assert not session.is_given_up
        memory.complete(session, 20)


async def test_data_does_not_begin_while_what_is_being_committed_fills_the_memory(
    open_door: OpenDoor,
) -> None:
    door = await open_door(octets_in_flight=10_000)
    committing, other = await door.logged_in(), await door.logged_in()
    door.intake.open.clear()
    await begin(committing, HEADER + LINES + b".\r\n")
    await until(lambda: door.intake.asked == 1)
    await other.envelope()
    assert await other.say("DATA") == FULL
    door.intake.open.set()
    assert (await committing.reply()).startswith("250 ")
    assert (await other.say("DATA")).startswith("354 ")


async def test_a_client_that_leaves_in_data_frees_its_memory(door: Running, client: Wire) -> None:
    memory = door.service._context.memory
    await begin(client, HEADER + LINES)
    await until(lambda: memory.total > 0)
    client.writer.close()
    await until(lambda: memory.total == 0)
