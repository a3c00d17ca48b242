"""Mail of each profile passes through a whole relay and is genuine to whoever receives it.

The judges are others' programs, which ask a name server for what customers are told to publish.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import Random

import pytest
import pytest_asyncio
from bench.sink_session import Arrival

from servers.shared_relay import HOST, Login, SharedRelay, shared_relay, submit
from verifiers.alignment import passes
from verifiers.dialects import DIALECTS, Dialect
from verifiers.foreign import PASS, Delivered, Judged, Receiver, need_programs, receiver
from verifiers.writing import Sample

FEW, MANY = 10, 200
SEED = 20261129

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class World:
    """The relay, and a receiver that knows what its customers have published."""

    relay: SharedRelay
    receiver: Receiver


@pytest.fixture(scope="module")
def programs() -> None:
    need_programs()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    programs: None,  # noqa: ARG001 -- first
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("verifiers")
    folder.chmod(0o711)
    async with shared_relay(folder) as relay:
        records = relay.records
        for dialect in DIALECTS:
            records += await relay.domain(
                dialect.profile, dialect.domain, "--return-path-host", f"bounces.{dialect.domain}"
            )
            for command in dialect.commands:
                await relay.command(*command.format(account=dialect.profile).split())
        async with receiver(folder, records, {HOST: "127.0.0.1"}) as asking:
            yield World(relay, asking)


async def customer(relay: SharedRelay, dialect: Dialect) -> Login:
    """A new user who writes *dialect*."""
    account = profile = dialect.profile
    if dialect.knobs:
        profile = f"own-{account}"
        await relay.profile(account, profile, account, *dialect.knobs)
    return await relay.login(account, profile)


async def sent(world: World, dialect: Dialect, count: int) -> list[tuple[Sample, Arrival]]:
    """Submit that many messages of *dialect*; each copy that arrived of each."""
    relay, random = world.relay, Random(f"{SEED} {dialect.profile}")  # noqa: S311 -- samples
    client = await relay.session(await customer(relay, dialect))
    samples = [dialect.write(random, number, dialect.domain) for number in range(count)]
    submitted = [
        await submit(client, one.sender, one.recipients, one.content, one.parameters)
        for one in samples
    ]
    client.close()
    copies = []
    for sample, one in zip(samples, submitted, strict=True):
        arrived = await relay.arrived(one)
        assert sample.delivered == arrived.keys(), sample.content.decode()
        copies += [(sample, arrival) for arrival in arrived.values()]
    return copies


async def hold(world: World, copies: list[tuple[Sample, Arrival]]) -> None:
    """Each copy has passed with every judge."""
    batch = [Delivered(arrival.content, arrival.sender) for _, arrival in copies]
    for (sample, _), one, judged in zip(
        copies, batch, await world.receiver.judge(batch), strict=True
    ):
        seen = f"{judged}\n{one.content.decode(errors='replace')}"
        assert judged.signatures, seen
        assert all(signature.passes for signature in judged.signatures), seen
        assert PASS == judged.spf, seen
        assert sample.aligned == is_aligned(one, judged), seen


def is_aligned(one: Delivered, judged: Judged) -> bool:
    """Whether DMARC passes."""
    return passes(
        one.content,
        spf=[one.sender.partition("@")[2]] if judged.spf == PASS else [],
        dkim=[signature.domain for signature in judged.signatures if signature.passes],
    )


@pytest.mark.parametrize(
    "count", [FEW, pytest.param(MANY, marks=pytest.mark.long)], ids=["few", "many"]
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.profile)
async def test_mail_of_each_profile_is_genuine_to_every_verifier(
    world: World, dialect: Dialect, count: int
) -> None:
    await hold(world, await sent(world, dialect, count))


async def test_every_verifier_notices_what_was_changed_on_the_way(world: World) -> None:
    """Or else the test above would say nothing."""
    ((_, arrival), *_) = await sent(world, DIALECTS[0], 1)
    right = Delivered(arrival.content, arrival.sender)
    header, _, body = right.content.partition(b"\r\n\r\n")
    changed = replace(right, content=header + b"\r\n\r\nP.S.: " + body)
    renamed = replace(right, content=right.content.replace(b"\r\nFrom:", b"\r\nFrom: x"))
    elsewhere = replace(right, client="127.0.0.99")

    genuine, *forged, from_elsewhere = await world.receiver.judge(
        [right, changed, renamed, elsewhere]
    )

    assert all(signature.passes for signature in genuine.signatures)
    for judged in forged:
        for signature in judged.signatures:
            assert not any(said.startswith(PASS) for said in signature.said.values()), signature
    assert "fail" == from_elsewhere.spf
