"""Programs that move here with the user name and secret that they have (RULES X03, T02, T07)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import pytest
import pytest_asyncio

from e2e.vendors_pages import message, relay_of
from servers.patience import on_this_machine
from servers.shared_relay import Login, SharedRelay

WEAK, KEY = "Grüße 2024", "3f9a6c0e5d7b2184c6e0a9f37d5b8216e4c0a73f"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    async with relay_of(tmp_path_factory) as running:
        yield running


@pytest.fixture
def weak(tmp_path: Path) -> str:
    """A file with a secret that people chose."""
    (tmp_path / "weak").write_text(f"{WEAK}\n")
    return str(tmp_path / "weak")


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A file with a key of another service."""
    (tmp_path / "key").write_text(KEY)
    return str(tmp_path / "key")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_X03_only_the_host_name_changes(
    relay: SharedRelay, weak: str, mechanism: str
) -> None:
    """Sent, then deleted: what was accepted goes out, and history has the name."""
    name, domain = f"{mechanism}@old.example", f"{mechanism.lower()}.example"
    await relay.domain("old", domain)
    user = ("--account", "old", "--username", name, "--secret-file", weak)
    await relay.command("credential", "create", *user)
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, validate_certs=False)
    await client.connect()
    await client.ehlo()
    if mechanism == "PLAIN":
        assert (await client.auth_plain(name, WEAK)).code == 235
    else:
        assert (await client.auth_login(name, WEAK)).code == 235
    client.close()

    text = message(f"From: a@{domain}\nTo: b@there.example\nSubject: x\n\nx\n")
    sent = await relay.submit(Login(name, WEAK), f"a@{domain}", ["b@there.example"], text)
    await relay.command("credential", "delete", name)
    assert ["b@there.example"] == list(await relay.arrived(sent))
    story = json.loads(await relay.command("message", "--json", sent.id.hex))
    assert name in json.dumps(story)
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await relay.session(Login(name, "another"))


async def test_T02_T07_a_key_of_old_sends_for_a_child(relay: SharedRelay, key: str) -> None:
    await relay.domain("group", "group.example")
    await relay.command("account", "create", "123", "--parent", "group")
    await relay.domain("123", "child.example")
    user = ("--account", "group", "--profile", "mailtarget", "--secret-file", key)
    await relay.command("credential", "create", *user)

    login = Login("SMTP_Injection:X-MSYS-SUBACCOUNT=123", KEY)
    text = message("From: a@child.example\nTo: b@there.example\nSubject: x\n\nx\n")
    sent = await relay.submit(login, "a@child.example", ["b@there.example"], text)
    owner = await relay.database.fetchval(
        "SELECT a.name FROM submissions s JOIN accounts a ON a.id = s.account_id WHERE s.id = $1",
        sent.id,
    )
    assert owner == "123"
    for name in ("SMTP_Injection:X-MSYS-SUBACCOUNT=124", "smtp_mt_injection"):
        client = relay.session(Login(name, KEY[::-1] if name == "smtp_mt_injection" else KEY))
        with pytest.raises(aiosmtplib.SMTPAuthenticationError, match="No authentication type"):
            await asyncio.wait_for(client, on_this_machine(30))
