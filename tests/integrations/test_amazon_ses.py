"""Programs for Amazon SES, version 2, with another base URL: docs/amazon-ses-api.md."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from integrations import letter
from integrations.needed import CLIENTS, python_with_clients
from integrations.programs import command
from integrations.world import MARKS, SENDER, World, check_same

pytestmark = MARKS
ROOT = Path(__file__).parents[2]
REQUESTS = ROOT / "tests/ingest/aws_requests.json"
ROW = re.compile(r"^\| `([^`]+)` \| (honoured|no effect|refused) \|", re.MULTILINE)


@pytest.fixture
async def ses(world: World) -> World:
    """A world with a user whose secret is kept sealed."""
    login = await world.relay.login("shop", "native", "--permission", "http", "--sealed")
    return replace(world, login=login)


async def run(world: World, program: str, *arguments: object) -> str:
    """What *program* says."""
    trusted = f"AWS_CA_BUNDLE={world.certificate}"
    python = python_with_clients()
    return await world.succeeds(["env", trusted, python, world.put(CLIENTS / program), *arguments])


async def test_boto3(ses: World) -> None:
    await run(ses, "boto3_client.py")

    described, raw = sorted(
        [one.content for one in await ses.arrivals(2)], key=lambda one: b"\nSubject: raw" in one
    )
    letter.check(described, SENDER, ses.recipient, "html", "invoice")
    check_same(letter.RAW, raw)


async def test_what_boto3_raises(ses: World) -> None:
    raised = json.loads(await run(ses, "boto3_errors.py"))

    assert {name: (one[0], one[1]) for name, one in raised.items()} == {
        "sender": ("MessageRejected", "MessageRejected"),
        "address": ("BadRequestException", "BadRequestException"),
        "template": ("BadRequestException", "BadRequestException"),
        "stream": ("NotFoundException", "NotFoundException"),
        "secret": ("ClientError", "InvalidSignatureException"),
        "token": ("ClientError", "UnrecognizedClientException"),
        "operation": ("ClientError", "UnknownOperationException"),
    }
    assert "other.example" in raised["sender"][2]


async def test_boto3_tries_again_and_sends_once(ses: World) -> None:
    first, second = json.loads(await run(ses, "boto3_again.py"))

    assert first == second
    assert b"\nSubject: s" in (await ses.arrival()).content


async def test_django_ses(ses: World) -> None:
    await ses.relay.command("stream", "create", "newsletter", "--account", "shop")

    id_ = (await run(ses, "django_ses_client.py")).strip()

    first, *others = await ses.arrivals(2)
    bcc = [one for one in ses.relay.sink.arrivals if "bcc@there.example" in one.recipients]
    by_size = sorted([first, *others], key=lambda one: len(one.content))
    letter.check(by_size[1].content, SENDER, ses.recipient, "html", "invoice")
    letter.check(by_size[0].content, SENDER, ses.recipient)
    letter.check(bcc[0].content, SENDER, ses.recipient, "html", "invoice")
    assert not any(b"X-SES-" in one.content for one in (*by_size, *bcc))
    query = "SELECT attributes->>'stream' FROM submissions WHERE id = $1"
    assert "newsletter" == await ses.relay.database.fetchval(query, UUID(id_))


async def test_nodemailer_over_the_library_of_amazon(ses: World) -> None:
    """It tells the digest of its bodies."""
    said = await ses.succeeds(await command(ses, "nodemailer, SES"))

    assert "\nMessageRejected 1 " in f"\n{said}"
    arrived = (await ses.arrival()).content
    letter.check(arrived, SENDER, ses.recipient, "html", "invoice")
    assert b"bcc@there.example" not in arrived
    assert [one for one in ses.relay.sink.arrivals if one.recipients == ("bcc@there.example",)]


async def test_the_table_has_each_field_that_botocore_knows(ses: World) -> None:
    known = set(json.loads(await run(ses, "sesv2_fields.py")))
    rows = dict(ROW.findall((ROOT / "docs/amazon-ses-api.md").read_text()))
    refused = [name for name, said in rows.items() if said == "refused"]

    def row_of(field: str) -> Any:
        """A field that is refused stands for those within it."""
        return next((name for name in refused if f"{field}.".startswith(f"{name}.")), field)

    assert {row_of(field) for field in known} == set(rows)


async def test_what_botocore_signs(ses: World) -> None:
    """What the quick tests of signatures hold against our own."""
    signatures = json.loads(await run(ses, "signing.py", REQUESTS))

    assert signatures == {one["name"]: one["signature"] for one in json.loads(REQUESTS.read_text())}
