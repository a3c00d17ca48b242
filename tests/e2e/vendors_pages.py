"""A customer of a profile, and its messages as a vendor's page shows them, in and out."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
from bench.sink_session import Arrival

from servers.shared_relay import Login, Refused, SharedRelay, Submitted, shared_relay

_FIELD = re.compile(r"[^\n]+\n(?:[ \t][^\n]*\n)*")
_OF_THE_RELAY = ("dkim-signature:", "x-posthouse-id:")
_ATTRIBUTES = "SELECT lane, attributes FROM submissions WHERE id = $1"
_IDENTITY = """\
Date: Sun, 29 Nov 2026 12:00:00 +0000
Message-ID: <1@app.example>
"""


@asynccontextmanager
async def relay_of(factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    """A relay in a folder of its own, for the tests of a module."""
    folder = factory.mktemp("relay")
    folder.chmod(0o711)
    async with shared_relay(folder) as relay:
        yield relay


@dataclass(frozen=True, slots=True)
class Customer:
    """Of a relay: it submits, and sees what became of it."""

    relay: SharedRelay
    login: Login
    account: str

    async def submit(self, sender: str, recipients: str, text: str | bytes) -> Submitted:
        """Submit *text*; *recipients* are words. Raises Refused."""
        content = text if isinstance(text, bytes) else message(text)
        return await self.relay.submit(self.login, sender, recipients.split(), content)

    async def send(self, sender: str, recipients: str, text: str | bytes) -> dict[str, str]:
        """Submit it; what arrived of it, by recipient, without what the relay puts around it."""
        arrived = await self.relay.arrived(await self.submit(sender, recipients, text))
        return {recipient: received(arrival) for recipient, arrival in arrived.items()}

    async def refusal(self, sender: str, recipients: str, text: str | bytes) -> str:
        """The reply that refuses it."""
        with pytest.raises(Refused) as refused:
            await self.submit(sender, recipients, text)
        return str(refused.value)

    async def known(self, submitted: Submitted) -> Mapping[str, Any]:
        """What is stored beside the message: tags, flags, stream and others; and its lane."""
        row = await self.relay.database.fetchrow(_ATTRIBUTES, submitted.id)
        attributes = row["attributes"]
        if isinstance(attributes, str):
            attributes = json.loads(attributes)
        return {"lane": row["lane"], **(attributes or {})}

    async def suppress(self, address: str, list_: str, *options: str) -> None:
        """Put *address* on a list of the account."""
        await self.relay.command(
            *("suppression", "add", address, "--list", list_, "--account", self.account, *options)
        )


async def customer(
    relay: SharedRelay,
    preset: str,
    *knobs: str,
    account: str = "",
    domains: tuple[str, ...] = (),
    user: tuple[str, ...] = (),
) -> Customer:
    """One of *preset* with *knobs* changed, as KNOB=VALUE.

    *domains* are made for it, *user* are more options of its credential.
    """
    account = account or preset
    for domain in domains:
        await relay.domain(account, domain)
    profile = preset
    if knobs:
        profile = f"{account}-{abs(hash(knobs)) % 10**8}"
        await relay.profile(account, profile, preset, *knobs)
    return Customer(relay, await relay.login(account, profile, *user), account)


def message(text: str) -> bytes:
    """*text*, indented as it may be, as a message; with Date and Message-ID if it has none."""
    text = dedent(text).lstrip("\n")
    header, blank, body = text.partition("\n\n")
    if "message-id:" not in header.lower():
        text = f"{header}\n{_IDENTITY.rstrip()}{blank}{body}"
    return text.replace("\n", "\r\n").encode()


def received(arrival: Arrival) -> str:
    """A message as it arrived, without the signatures, trace and id of ours that it must have."""
    text = arrival.content.decode().replace("\r\n", "\n")
    header, _, body = text.partition("\n\n")
    fields = _FIELD.findall(f"{header}\n")
    ours = [field for field in fields if field.lower().startswith(_OF_THE_RELAY)]
    assert len(ours) > 1, text
    rest = [field for field in fields if field not in ours]
    assert rest[0].startswith("Received: from app.example by relay.example "), text
    return f"{''.join(rest[1:])}\n{body}"


def text_of(text: str) -> str:
    """What `received` gives when *text* arrives as it is."""
    return message(text).decode().replace("\r\n", "\n")
