"""The shape of every system that can be measured, ours and the peers."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from bench.accounting import Account
from bench.children import POSTHOUSE, answer
from bench.load_session import Door

from onebox.postgres_binaries import find_binaries
from policy.signing import best

DOMAIN = "bench.example"


class NotMeasured(Exception):
    """This system cannot be installed on this machine; the text says why."""


class System(Protocol):
    """A relay that accepts mail, signs it and sends everything to the sink."""

    name: str  # for --systems
    title: str  # for people
    account: Account
    about_per_second: float  # delivered, on two cores: to estimate how long it will take
    version: str  # of its programs; known after `prepare`
    dkim_record: bytes  # the TXT record of the key it signs with

    @property
    def door(self) -> Door:
        """Where mail is submitted; after `start`."""

    async def prepare(self) -> None:
        """Install what is missing. Raises NotMeasured."""

    async def start(self) -> None:
        """Return when mail can be submitted; its data from before is still there."""

    async def stop(self) -> None:
        """Stop it in order."""


TRACKING_URL = "http://t.bench.example"


class Ours(System, Protocol):
    """Posthouse in one of its forms."""

    database: Path  # folder of its PostgreSQL, which others may run while it is stopped
    hops: int  # in each process: ingest, policy, dispatcher


def our_version() -> str:
    """Version of Posthouse, of the PostgreSQL that it uses, and how it signs."""
    postgres = find_binaries(None, major=None).major
    together = best().at_once
    signing = f"signing {together} at once" if together > 1 else "signing one by one"
    return f"Posthouse {version('posthouse')}, PostgreSQL {postgres}, {signing}"


async def make_customer(port: int, env: Mapping[str, str]) -> tuple[Door, bytes]:
    """Make a credential and a domain with an RSA key only; where to connect, and the key's record.

    *env* names the installation. One signature a message, as the peers make. A message without a
    priority field goes in bulk: such a field can only raise it.
    """
    no_dns = ("--published-spf", "")
    domain = await _posthouse(env, "domain", "add", DOMAIN, "--no-ed25519", *no_dns)
    await answer([POSTHOUSE, "domain", "verify", DOMAIN], env)
    record = next(r["value"] for r in domain["records"] if "p=" in r["value"])
    return await make_credential(port, env), record.encode()


async def make_credential(port: int, env: Mapping[str, str], profile: str = "native") -> Door:
    """Make one more credential of *profile* for that customer; where to connect."""
    lanes = ("--lane", "bulk", "--highest-lane", "very-high")
    permissions = ("--permission", "smtp", "--permission", "http")
    options = ("--profile", profile, *lanes, *permissions)
    made = await _posthouse(env, "credential", "create", *options)
    return Door("127.0.0.1", port, made["username"], made["secret"])


async def _posthouse(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    return dict(json.loads(await answer([POSTHOUSE, *arguments, "--json"], env)))


def fresh_folder(parent: Path, name: str) -> Path:
    """A folder of a system's own; other users may enter it, as some servers are not root."""
    folder = parent / name
    folder.mkdir(mode=0o711)
    return folder
