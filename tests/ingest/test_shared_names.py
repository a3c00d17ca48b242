"""A user name that all clients of a profile share: the key says whose it is (T02, T03, T17)."""

import base64
from dataclasses import replace
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from posthouse.mail.lane import Lane
from posthouse.mail.permission import Permission
from posthouse.mail.secret import hash_secret
from posthouse.store.logins import AccountProfile, Login
from servers.door import LOGIN, PEPPER, SECRET, OpenDoor, Running, Wire

OK = "235 2.7.0 Authentication successful"
FAILED = "535 5.7.8 Sorry. *** No authentication type succeeded"
KEY = f"user.{SECRET}"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def client_of(door: Running, **changes: object) -> Wire:
    login: Login = replace(LOGIN, profile="mailtarget", **changes)  # type: ignore[arg-type]  # by name
    door.directory.logins = {login.username: login}
    client = await door.connect()
    await client.say("EHLO x")
    return client


async def auth_login(client: Wire, username: str, key: str) -> str:
    assert await client.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert await client.say(b64(username)) == "334 UGFzc3dvcmQ6"
    return await client.say(b64(key))


@pytest.mark.parametrize("name", ["smtp_mt_injection", "SMTP_MT_INJECTION", "SMTP_Injection"])
async def test_T01_T02_the_fixed_name_with_a_key(door: Running, name: str) -> None:
    client = await client_of(door)
    assert OK == await auth_login(client, name, KEY)
    assert (await client.message(b"From: jo@a.example\r\nTo: x@x.example\r\n\r\n.\r\n"))[
        :4
    ] == "250 "
    assert LOGIN.credential_id == door.intake.accepted[0].credential_id


async def test_T02_a_user_name_may_hold_dots(door: Running) -> None:
    client = await client_of(door, username="shop.key.1")
    assert OK == await auth_login(client, "smtp_mt_injection", f"shop.key.1.{SECRET}")


async def test_T02_the_name_of_the_credential_itself_logs_in_too(door: Running) -> None:
    client = await client_of(door)
    assert OK == await auth_login(client, "user", SECRET)


@pytest.mark.parametrize(
    "key", [SECRET[:-1], "user.wrong", f"other.{SECRET}", f".{SECRET}", ".", "", "a\0b.c"]
)
async def test_T17_a_wrong_key_has_the_text_of_the_page(door: Running, key: str) -> None:
    assert FAILED == await auth_login(await client_of(door), "smtp_mt_injection", key)


async def test_T17_text_is_only_for_the_fixed_name(door: Running) -> None:
    reply = await auth_login(await client_of(door), "user", "wrong")
    assert "535 5.7.8 Authentication credentials invalid" == reply


async def test_T03_a_key_that_may_not_send_fails_as_a_wrong_one(door: Running) -> None:
    """Without "send via SMTP", switched off, or of a profile whose users have their own names."""
    for logins in (
        {"user": replace(LOGIN, profile="mailtarget", permissions=frozenset({Permission.HTTP}))},
        {"user": replace(LOGIN, profile="maxemail")},
        {"user": LOGIN},
        {},
    ):
        door.service._context.authenticator._remembered.clear()
        door.directory.logins = logins
        client = await door.connect()
        await client.say("EHLO x")
        assert FAILED == await auth_login(client, "smtp_mt_injection", KEY)


async def test_T17_a_key_where_it_is_not_allowed_fails_as_a_wrong_one(door: Running) -> None:
    own = AccountProfile(
        LOGIN.account_id, "ours", 1, "mailtarget", 1, {"session.allowed_networks": ["192.0.2.0/24"]}
    )
    client = await client_of(door, own_profile=own)
    assert FAILED == await auth_login(client, "smtp_mt_injection", KEY)


async def test_T02_nobody_acts_for_another(door: Running) -> None:
    client = await client_of(door)
    plain = b64(f"other\0smtp_mt_injection\0{KEY}")
    assert FAILED == await client.say(f"AUTH PLAIN {plain}")


# Keys that were brought along.

BROUGHT = "3f9a6c0e5d7b2184c6e0a9f37d5b8216e4c0a73f"


async def test_T02_X03_a_key_that_was_brought_along_says_whose_it_is(door: Running) -> None:
    """Only the host name changes."""
    client = await client_of(door, secret_hash=hash_secret(BROUGHT, PEPPER))
    assert OK == await auth_login(client, "smtp_mt_injection", BROUGHT)
    for _ in range(2):
        again = await door.connect()
        await again.say("EHLO x")
        assert FAILED == await auth_login(again, "smtp_mt_injection", BROUGHT[:-1] + "e")
        assert OK == await auth_login(again, "smtp_mt_injection", BROUGHT)
    assert door.directory.asked == ["user", "", ""]  # its login is remembered


async def test_T02_nobody_acts_for_another_with_a_key_that_was_brought_along(door: Running) -> None:
    await client_of(door, secret_hash=hash_secret(BROUGHT, PEPPER))
    for acted_for, reply in (("", OK), ("other", FAILED)):
        client = await door.connect()
        await client.say("EHLO x")
        plain = b64(f"{acted_for}\0smtp_mt_injection\0{BROUGHT}")
        assert await client.say(f"AUTH PLAIN {plain}") == reply


async def test_a_key_of_two_users_is_nobodys(door: Running) -> None:
    client = await client_of(door, secret_hash=hash_secret(BROUGHT, PEPPER))
    door.directory.logins["other"] = replace(door.directory.logins["user"], username="other")
    assert FAILED == await auth_login(client, "smtp_mt_injection", BROUGHT)


async def test_wrong_keys_stop_themselves_and_not_each_other(door: Running) -> None:
    await client_of(door, secret_hash=hash_secret(BROUGHT, PEPPER))
    for i in range(12):
        client = await door.connect()
        await client.say("EHLO x")
        reply = await auth_login(client, "smtp_mt_injection", "of a forgotten program")
        assert reply[:3] == ("535" if i < 10 else "421")
    client = await door.connect()
    await client.say("EHLO x")
    assert OK == await auth_login(client, "smtp_mt_injection", BROUGHT)


async def test_T02_a_shared_name_with_another_mechanism_is_explained_in_the_log(
    open_door: OpenDoor,
) -> None:
    door = await open_door("none", mechanisms=("CRAM-MD5",))
    client = await client_of(door)
    await client.say("AUTH CRAM-MD5")
    with capture_logs() as logs:
        reply = await client.say(b64(f"smtp_mt_injection {'0' * 32}"))
    assert reply.startswith("535 ")
    assert "only PLAIN and LOGIN carry the key" in logs[0]["advice"]


# Sub-accounts.

CHILD, SIBLING = UUID(int=123), UUID(int=124)
OF_CHILD = {CHILD: frozenset(("child.example",))}


@pytest.mark.parametrize(
    "name", ["SMTP_Injection:X-MSYS-SUBACCOUNT=123", "smtp_mt_injection:x-msys-subaccount=123"]
)
async def test_T07_the_user_name_may_say_for_which_child_it_sends(door: Running, name: str) -> None:
    """With the parent's key: mail at the child's domains is the child's, and no other is taken."""
    owners = OF_CHILD | {SIBLING: frozenset(("sibling.example",))}
    client = await client_of(door, domains_of_children=owners)
    door.directory.children = {"123": CHILD}
    assert OK == await auth_login(client, name, KEY)
    for domain, code in (("child", "250"), ("sibling", "550"), ("a", "550")):
        header = f"From: jo@{domain}.example\r\nTo: x@x.example\r\n\r\n.\r\n"
        assert (await client.message(header.encode())).startswith(code)
    changed = replace(door.directory.logins["user"], lane=Lane.LOW)
    door.directory.logins["user"] = changed
    door.service._context.authenticator._remembered.clear()
    reply = await client.message(b"From: jo@a.example\r\nTo: x@x.example\r\n\r\n.\r\n")
    assert reply.startswith("550")
    (accepted,) = door.intake.accepted
    assert accepted.account_id == CHILD


async def test_T07_whoever_sends_for_a_child_has_the_limits_of_its_own_account(
    door: Running,
) -> None:
    client = await client_of(door, domains_of_children=OF_CHILD, is_limited=True)
    door.directory.children = {"123": CHILD}
    assert OK == await auth_login(client, "SMTP_Injection:X-MSYS-SUBACCOUNT=123", KEY)
    header = b"From: jo@child.example\r\nTo: x@x.example\r\n\r\n.\r\n"
    assert (await client.message(header)).startswith("250 ")
    assert [LOGIN.account_id] == [charge.account_id for charge in door.rates.asked]


async def test_T07_a_login_that_failed_leaves_no_child_behind(door: Running) -> None:
    """The second login of a connection is not for the child that the first one named."""
    own = AccountProfile(
        LOGIN.account_id, "ours", 1, "mailtarget", 1, {"session.require_tls": True}
    )
    client = await client_of(door, own_profile=own, domains_of_children=OF_CHILD)
    door.directory.logins["other"] = replace(LOGIN, username="other")
    door.directory.children = {"123": CHILD}
    refused = await auth_login(client, "SMTP_Injection:X-MSYS-SUBACCOUNT=123", KEY)
    assert refused.startswith("538 ")
    assert OK == await auth_login(client, "other", SECRET)
    reply = await client.message(b"From: jo@a.example\r\nTo: x@x.example\r\n\r\n.\r\n")
    assert reply.startswith("250 ")


@pytest.mark.parametrize("behind", ["X-MSYS-SUBACCOUNT=124", "X-MSYS-SUBACCOUNT=", "other", ""])
async def test_T07_a_child_that_is_not_there_is_a_wrong_login(door: Running, behind: str) -> None:
    client = await client_of(door)
    door.directory.children = {"123": CHILD}
    reply = await auth_login(client, f"SMTP_Injection:{behind}", KEY)
    assert reply.startswith("535 5.7.8 ")
