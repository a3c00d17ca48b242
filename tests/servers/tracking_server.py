"""The tracking server on a free port, with targets and visits in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from starlette.routing import BaseRoute

from posthouse.running.http_server import HttpServer
from posthouse.running.identity import new_id
from posthouse.running.tcp import Endpoint
from posthouse.store import StoreUnavailable
from posthouse.tracking.token import ClickToken, OpenToken, Token, TokenKey, sign, token_keys
from posthouse.tracking.visit import Visit
from tracking.pages import pages
from tracking.request_client import RequestClient
from tracking.tracked_paths import TrackedPaths

KEYS = token_keys(b"m" * 32, [1, 0])
SET = b"0123456789"
COPY = UUID("0195ab00-0000-7000-8000-000000000001")


class TrackingAnswer(NamedTuple):
    """What came back."""

    status: int
    fields: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass
class RememberedTargets:
    """Targets of sets; those of unknown ones, while it is away, are not known now."""

    sets: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    is_away: bool = False

    async def target(self, link_set: bytes, number: int) -> str | None:
        """As `tracking.tracked_paths.Targets`."""
        if self.is_away:
            raise StoreUnavailable("away")
        targets = self.sets.get(link_set, ())
        return targets[number] if number < len(targets) else None


@dataclass
class TrackingPort:
    """A server, what it noted, and a client."""

    at: Endpoint
    targets: RememberedTargets
    visits: list[Visit]

    async def ask(self, path: str, method: str = "GET", **fields: str) -> TrackingAnswer:
        """One request; a name of *fields* with "_" for "-"."""
        return await ask(self.at, path, method, **fields)

    async def send(self, octets: bytes) -> TrackingAnswer:
        """The answer to these *octets*, which end in a request that closes the connection."""
        return _read(await asked(self.at, octets))

    async def ask_all(self, paths: Sequence[str]) -> list[TrackingAnswer]:
        """One request after the other over one connection."""
        reader, writer = await asyncio.open_connection(self.at.host, self.at.port)
        answers = []
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: t.relay.example\r\n\r\n".encode())
            head = _read(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(head.fields["content-length"]))
            answers.append(head._replace(body=body))
        writer.close()
        return answers


async def ask(at: Endpoint, path: str, method: str = "GET", **fields: str) -> TrackingAnswer:
    """The answer to one request to *at*; a name of *fields* with "_" for "-"."""
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: t.relay.example\r\n{told}Connection: close\r\n"
    return _read(await asked(at, head.encode("latin-1") + b"\r\n"))


async def asked(at: Endpoint, octets: bytes) -> bytes:
    """What comes back to *octets* until the connection is closed."""
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(octets)
    answer = await reader.read()
    writer.close()
    return answer


def _read(answer: bytes) -> TrackingAnswer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return TrackingAnswer(int(first.split()[1]), {k.lower(): v for k, v in fields.items()}, body)


def open_path(copy: UUID = COPY, key: TokenKey = KEYS[0]) -> str:
    """Where the pixel of *copy* is."""
    return f"/o/{sign(OpenToken(copy), key)}"


def click_path(number: int = 0, link_set: bytes = SET, key: TokenKey = KEYS[0]) -> str:
    """Where a link of the copy leads."""
    token: Token = ClickToken(COPY, link_set, number)
    return f"/c/{sign(token, key)}"


@asynccontextmanager
async def tracking_port(
    *, proxies: tuple[str, ...] = (), routes: tuple[BaseRoute, ...] = ()
) -> AsyncIterator[TrackingPort]:
    """A server that has nothing but its memory."""
    targets, visits = RememberedTargets(), list[Visit]()
    paths = TrackedPaths(
        KEYS,
        targets,
        RequestClient(proxies),
        visits.append,
        pages(routes),
        clock=asyncio.get_running_loop().time,
        new_id=new_id,
    )
    async with HttpServer("tracking", paths, Endpoint("127.0.0.1", 0)) as at:
        yield TrackingPort(at, targets, visits)
