"""The most important alerts fire when a real relay is broken, and end when it is mended.

Thresholds and windows are those that are shipped; only how long an expression has to hold (`for`)
is cut to seconds, and Prometheus looks each second.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiosmtplib
import pytest
from bench.sink_session import Manners, Refusal

from monitoring.busy_relay import open_to_others
from monitoring.prometheus_server import RULES, PrometheusServer, prometheus
from servers.patience import eventually
from servers.shared_relay import Login, Refused, SharedRelay, shared_relay, submit

pytestmark = pytest.mark.long

ON_WIRE = 4  # transactions of a lane; what comes after them waits
HANGS = Manners(
    keep=True,
    delay=75.0,  # seconds until the destination answers
    refusals=(
        Refusal("gone*", "550 5.1.1 No such user"),
        Refusal("later*", "451 4.7.1 Try again later"),
    ),
)
ANSWERS = replace(HANGS, delay=0.0)
MESSAGE = b"From: app@shop.example\r\nTo: x@y.example\r\nSubject: x\r\n\r\nx\r\n"


def hurried(folder: Path) -> Path:
    """The rules with short waits."""
    folder.mkdir()
    for page in RULES.glob("*.yml"):
        (folder / page.name).write_text(re.sub(r"for: \d+[mh]", "for: 5s", page.read_text()))
    return folder


async def fires(server: PrometheusServer, *names: str) -> None:
    async def do() -> bool:
        return set(names) <= await server.firing()

    await eventually(do, within=120, look=1)


async def ends(server: PrometheusServer, name: str) -> None:
    async def does() -> bool:
        return name not in await server.firing()

    await eventually(does, within=120, look=1)


async def mail(relay: SharedRelay, user: Login, recipients: list[str]) -> None:
    client = await relay.session(user)
    for recipient in recipients:
        await submit(client, "app@shop.example", [recipient], MESSAGE)
    await client.quit()


@asynccontextmanager
async def locked(relay: SharedRelay) -> AsyncIterator[None]:
    """Nothing can be accepted: a session holds what each acceptance writes."""
    async with relay.database.transaction():
        await relay.database.execute("LOCK TABLE due_submissions IN ACCESS EXCLUSIVE MODE")
        yield


async def test_alerts_fire_when_the_relay_is_broken(tmp_path: Path) -> None:
    folder = open_to_others(tmp_path)
    async with AsyncExitStack() as relays, AsyncExitStack() as others:
        limits = {"POSTHOUSE_LANE_LIMITS": ",".join([str(ON_WIRE)] * 5)}
        relay = await relays.enter_async_context(shared_relay(folder, manners=HANGS, **limits))
        server = await others.enter_async_context(
            prometheus(folder, relay.health, rules=hurried(folder / "rules"))
        )
        await relay.domain("shop", "shop.example")
        user = await relay.login(
            "shop", "native", "--lane", "very-high", "--highest-lane", "very-high"
        )

        # The destination hangs: more mail is due than may be on the wire.
        # What a look at the installation finds of a relay on loopback is another matter.
        await ends(server, "PosthouseMetricsAbsent")  # it fires until the first look
        assert await server.firing() <= {"PosthouseInstallationFault"}
        await mail(relay, user, [f"ann{n}@dest.example" for n in range(10 * ON_WIRE)])
        await fires(server, "PosthouseNoDeliveries", "PosthouseUrgentLaneSlow")
        relay.sink.manners = ANSWERS
        await ends(server, "PosthouseUrgentLaneSlow")

        # It defers and refuses what it did not before.
        await mail(relay, user, [f"later{n}@gmail.com" for n in range(200)])
        await mail(relay, user, [f"gone{n}@dest.example" for n in range(200)])
        await fires(server, "PosthouseDeferralRatioHigh", "PosthouseBounceRatioHigh")

        # The database takes nothing.
        async with locked(relay):
            for _ in range(4):
                with suppress(Refused, aiosmtplib.SMTPException):
                    await mail(relay, user, ["ann@dest.example"])
                await asyncio.sleep(1)  # two samples at least
        await fires(server, "PosthouseAcceptingFails")

        # It is gone.
        await relays.aclose()
        await fires(server, "PosthouseProcessDown", "PosthouseMetricsAbsent")
