"""Messages of strange kinds pass through a whole relay, and programs of others verify them."""

from pathlib import Path

import pytest

from mail.strange import Strange, messages
from servers.shared_relay import HOST, Refused, SharedRelay, Submitted, shared_relay, submit
from verifiers.foreign import PASS, UNKNOWN, Delivered, need_programs, receiver

ACCOUNT, DOMAIN = "strange", "sender.example"
SENDER, RECIPIENT = f"jo@{DOMAIN}", "ann@dest.example"
# What a verifier says of a header that it does not read, and what it should read.
UNREADABLE = (
    UNKNOWN,
    "dkim_chunk(): Syntax error",  # OpenDKIM: a tab before the colon, or ";" in a name
    "Unexpected characters in RFC822 header",  # dkimpy: a blank before the colon
)
# dkimpy does not take out the blank in "From :", as RFC 6376 section 3.4.2 wants.
MISREAD = {"fields: an author behind a blank"}

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that other users may enter, once all programs are there."""
    need_programs()
    tmp_path.chmod(0o711)
    return tmp_path


async def test_whoever_can_read_a_strange_message_finds_it_genuine(folder: Path) -> None:
    async with shared_relay(folder) as relay:
        bounces = ("--return-path-host", f"bounces.{DOMAIN}")
        records = relay.records + await relay.domain(ACCOUNT, DOMAIN, *bounces)
        async with receiver(folder, records, {HOST: "127.0.0.1"}) as judges:
            sent = await taken(relay)
            batch = [await delivered(relay, submitted) for _, submitted in sent]
            judged = dict(
                zip((one.name for one, _ in sent), await judges.judge(batch), strict=True)
            )

    assert {one.name for one in messages()} == judged.keys()
    for name, found in judged.items():
        assert PASS == found.spf, name
        ours = [signature.said for signature in found.signatures if signature.domain == DOMAIN]
        if name in MISREAD:
            ours = [{**said, "dkimpy": PASS} for said in ours]
        said = [result for signature in ours for result in signature.values()]
        assert PASS in said, (name, ours)
        assert all(s == PASS or any(u in s for u in UNREADABLE) for s in said), (name, ours)


async def taken(relay: SharedRelay) -> list[tuple[Strange, Submitted]]:
    """Submit every message; those that were accepted."""
    client = await relay.session(await relay.login(ACCOUNT, "native"))
    found = []
    for one in messages():
        try:
            found.append((one, await submit(client, SENDER, [RECIPIENT], one.content)))
        except Refused:
            continue
    client.close()
    return found


async def delivered(relay: SharedRelay, submitted: Submitted) -> Delivered:
    """What its recipient got."""
    arrival = (await relay.arrived(submitted))[RECIPIENT]
    return Delivered(arrival.content, arrival.sender)
