"""How long a client may take (T04, X17), and that the reply says what was too long."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from ingest.settings import IngestSettings
from ingest.smtp_session import SmtpSession
from posthouse.running.settings import SettingsError, load
from servers.door import OpenDoor, Running
from servers.patience import until

Leap: TypeAlias = Callable[[float], None]
GIVEN = {
    "POSTHOUSE_DATABASE_URL": "postgresql://x/y",
    "POSTHOUSE_BROKER_URL": "amqp://x/",
    "POSTHOUSE_SECRET_KEY": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA==",
}


@pytest.mark.parametrize("name", ["COMMAND", "IDLE", "DATA"])
def test_T04_a_client_has_a_minute_at_least(name: str) -> None:
    variable = f"POSTHOUSE_INGEST_{name}_SECONDS"
    with pytest.raises(SettingsError, match=f"{variable} is '59': .* greater than or equal to 60"):
        load(IngestSettings, {**GIVEN, variable: "59"})
    assert load(IngestSettings, {**GIVEN, variable: "60"})


def test_T04_a_command_has_five_minutes_unless_a_setting_says_otherwise() -> None:
    """As RFC 5321 section 4.5.3.2 recommends."""
    assert load(IngestSettings, GIVEN).ingest_command_seconds == 300


async def test_X17_a_client_that_is_idle_is_told_and_closed(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door("none+idle_seconds=60")
    client = await door.logged_in()
    leap(59)
    assert await client.say("NOOP") == "250 2.0.0 Ok"
    leap(60)
    assert await client.reply() == "421 4.4.2 Timeout: no message for 60 seconds"
    assert await client.is_closed()


async def test_X17_one_that_is_not_logged_in_or_within_an_envelope_has_the_time_of_a_command(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door("none+idle_seconds=60", command_seconds=120)
    client = await door.connect()
    leap(100)
    await client.log_in()
    await client.envelope()
    leap(100)
    assert await client.say("RCPT TO:<y@there.example>") == "250 2.1.5 Ok"
    leap(120)
    assert await client.reply() == "421 4.4.2 Timeout: no command for 120 seconds"


async def test_X17_a_message_that_comes_too_slowly_is_broken_off(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door(command_seconds=100, octets_a_second=10)
    client = await door.logged_in()
    await client.envelope()
    assert (await client.say("DATA")).startswith("354 ")
    await client.send(b"x" * 900)
    await until(lambda: door.receiving() >= 900)
    leap(100)
    assert await client.reply() == (
        "421 4.4.2 Timeout: less than 10 octets a second of the message"
    )
    assert await client.is_closed()
    assert door.intake.accepted == []


async def test_X17_a_message_has_to_be_complete_in_time_however_fast_it_comes(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door(command_seconds=100, data_seconds=150, octets_a_second=1)
    client = await door.logged_in()
    await client.envelope()
    assert (await client.say("DATA")).startswith("354 ")
    await client.send(b"x" * 1_000)
    await until(lambda: door.receiving() >= 1_000)
    leap(90)
    await client.send(b"x" * 1_000)
    await until(lambda: door.receiving() >= 2_000)
    leap(60)
    assert await client.reply() == "421 4.4.2 Timeout: message not complete after 150 seconds"
    assert await client.is_closed()
    assert door.intake.accepted == []


async def swallowing(door: Running, octets: int) -> None:
    """Return when so many octets of a refused chunk have come."""

    def taken() -> int:
        sessions = door.service._context.connections.open
        chunks = [one._server.state.chunk for one in sessions if isinstance(one, SmtpSession)]
        return sum(one.received_octets for one in chunks if one is not None)

    await until(lambda: taken() >= octets)


async def test_X17_a_refused_chunk_that_comes_fast_enough_has_time(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door("none+idle_seconds=60", command_seconds=100, octets_a_second=10)
    client = await door.logged_in()
    await client.send(b"BDAT 3000 LAST\r\n")
    for part in (1, 2):
        await client.send(b"x" * 1_000)
        await swallowing(door, part * 1_000)
        leap(90)
    await client.send(b"x" * 1_000)
    assert (await client.reply()).startswith("503 5.5.1 ")
    assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_X17_a_refused_chunk_that_comes_too_slowly_is_broken_off(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door(command_seconds=100, octets_a_second=10)
    client = await door.logged_in()
    await client.send(b"BDAT 100000 LAST\r\n" + b"x" * 900)
    await swallowing(door, 900)
    leap(100)
    assert await client.reply() == (
        "421 4.4.2 Timeout: less than 10 octets a second of the message"
    )
    assert await client.is_closed()


async def test_X17_all_refused_chunks_of_a_message_have_to_come_in_time(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door(command_seconds=100, data_seconds=150, octets_a_second=1)
    client = await door.logged_in()
    for _ in range(2):
        await client.send(b"BDAT 2000\r\n" + b"x" * 1_000)
        await swallowing(door, 1_000)
        leap(70)
        await client.send(b"x" * 1_000)
        assert (await client.reply()).startswith("503 5.")
    await client.send(b"BDAT 2000\r\n" + b"x" * 1_000)
    await swallowing(door, 1_000)
    leap(10)
    assert await client.reply() == "421 4.4.2 Timeout: message not complete after 150 seconds"
    assert await client.is_closed()


async def test_X17_a_chunk_after_a_small_one_that_was_refused_has_its_time(
    open_door: OpenDoor,
) -> None:
    """The small one came as a whole: nobody waited for more of it."""
    door = await open_door(command_seconds=100, octets_a_second=10)
    client = await door.logged_in()
    await client.send(b"BDAT 10\r\n" + b"x" * 10 + b"BDAT 2000 LAST\r\n" + b"x" * 1_000)
    assert (await client.reply()).startswith("503 5.5.1 ")
    await swallowing(door, 1_000)
    await client.send(b"x" * 1_000)
    assert (await client.reply()).startswith("503 5.0.0 ")
    assert await client.say("NOOP") == "250 2.0.0 Ok"
