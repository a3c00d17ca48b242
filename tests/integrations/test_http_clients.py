"""Libraries of Python that submit by HTTP, with our own API and with SendGrid's."""

import json
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest

from integrations import letter
from integrations.programs import command
from integrations.world import MARKS, SENDER, World

pytestmark = MARKS

KEY = "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"


async def test_httpx(world: World) -> None:
    said = await world.succeeds(await command(world, "httpx"))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")
    again = await world.succeeds(await command(world, "httpx"))
    assert said == again
    await world.arrival()  # it is still one


async def test_sendgrid(world: World) -> None:
    said = await world.succeeds(await command(world, "sendgrid"))

    arrival = await world.arrival()
    letter.check(arrival.content, SENDER, world.recipient, "html", "invoice")
    status, id_ = said.split()
    assert "202" == status
    assert f" id {id_};".encode() in arrival.content


async def test_sendgrid_with_a_key_that_was_brought_along(world: World) -> None:
    file = world.folder / "key"
    file.write_text(f"{KEY}\n")
    await world.relay.command(
        *("credential", "create", "--account", "shop", "--permission", "http"),
        *("--username", "from-sendgrid", "--secret-file", str(file)),
    )
    await world.succeeds(await command(world, "sendgrid", ("USER.SECRET", KEY)))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")


async def test_sendgrid_with_all_that_it_can_say(world: World) -> None:
    said = await world.succeeds(await command(world, "sendgrid, many"))

    for number in (1, 2):
        for kind in ("", "cc", "bcc"):
            (arrival,) = await world.arrivals(recipient=f"{kind}{number}-{world.recipient}")
            message = read(arrival.content)
            assert f"Hello Jo {number}" == message["Subject"]
            assert f"Reader {number} <{number}-{world.recipient}>" == message["To"]
            assert f"cc{number}-{world.recipient}" == message["Cc"]
            assert b"bcc" not in arrival.content.partition(b"\r\nFrom: ")[2]
            assert "Answers <re@example.com>" == message["Reply-To"]
            assert ["all", str(number)] == [message["X-Ours"], message["X-One"]]
            assert {
                "text/plain": f"Dear Jo {number}",
                "text/x-amp-html": f"<html amp4email>Jo {number}",
                "text/html": f"<p>Dear Jo {number}",
            } == texts(message)
    found = await attributes(world, said.split()[1])
    # The package puts what is added last in front.
    assert {"order": "4711", "number": "2"} == found["metadata"]
    assert ["shop", "news"] == found["tags"]
    assert {"click_tracking": True, "open_tracking": False} == found["flags"]


async def test_sendgrid_in_its_sandbox_sends_nothing(world: World) -> None:
    run = await command(world, "sendgrid, many")
    assert "200 None" == (await world.succeeds([*run, "sandbox"])).strip()
    assert not [one for one in world.relay.sink.arrivals if world.recipient in str(one.recipients)]


async def test_sendgrid_shows_what_is_refused_and_why(world: World) -> None:
    run = await command(world, "sendgrid, many")
    done = await world.run([*run, "template"])
    assert 0 != done.status
    assert "400 {'message': 'template_id is not supported: no templates" in done.said
    assert "'field': 'template_id'" in done.said
    done = await world.run(await command(world, "sendgrid, many", (".SECRET", ".wrong")))
    assert "401 {'message': 'The user or its secret is wrong'" in done.said
    foreign = ("shop@example.com", "shop@foreign.example")
    done = await world.run(await command(world, "sendgrid, many", foreign))
    assert "403 {'message': " in done.said
    assert "'field': 'from'" in done.said


async def test_sendgrid_of_node(world: World) -> None:
    said = await world.succeeds(await command(world, "@sendgrid/mail"))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")
    for number in (1, 2):
        (arrival,) = await world.arrivals(recipient=f"{number}-{world.recipient}")
        message = letter.check(arrival.content, SENDER, world.recipient, "html", "invoice")
        assert f"{number}-{world.recipient}" == message["To"]
    assert "202 " in said
    assert '400 [{"message":"template_id is not supported' in said


async def test_django_anymail(world: World) -> None:
    await world.succeeds(await command(world, "django-anymail"))

    arrival = await world.arrival()
    letter.check(arrival.content, SENDER, world.recipient, "html", "invoice")
    for name in ("Ann", "Bo"):
        (arrival,) = await world.arrivals(recipient=f"{name.lower()}-{world.recipient}")
        message = read(arrival.content)
        assert f"{name.lower()}-{world.recipient}" == message["To"]
        assert f"Hello {name}" == message["Subject"]
        *_, image = message.walk()
        found = texts(message)
        assert f"Dear {name}" == found["text/plain"]
        assert f'<img src="cid:{image["Content-ID"].strip("<>")}"> {name}' == found["text/html"]
        assert ("inline", b"a picture") == (image.get_content_disposition(), image.get_content())
        assert ["all", "re@example.com"] == [message["X-Ours"], message["Reply-To"]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((".SECRET", ".wrong"), "SendGrid API response 401"),
        (("shop@example.com", "shop@foreign.example"), "SendGrid API response 403"),
        (("letter.track_opens = False", "letter.template_id = 'd-1'"), "template_id"),
    ],
)
async def test_django_anymail_shows_what_is_refused(
    world: World, change: tuple[str, str], said: str
) -> None:
    done = await world.run(await command(world, "django-anymail", change))
    assert 0 != done.status
    assert said in done.said


def read(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def texts(message: EmailMessage) -> dict[str, str]:
    """The text of each part, by its type."""
    return {
        part.get_content_type(): part.get_content().strip()
        for part in message.walk()
        if part.get_content_maintype() == "text"
    }


async def attributes(world: World, id_: str) -> dict[str, Any]:
    """What is kept of a submission beside its message."""
    query = "SELECT attributes::text FROM submissions WHERE id = $1"
    return dict(json.loads(await world.relay.database.fetchval(query, UUID(id_))))
