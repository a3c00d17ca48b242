"""Users that are edited: secret, state, note and lanes (RULES U05 to U08)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.scram import ScramKeys
from posthouse.mail.secret import Purpose, derive, hash_secret, secret_matches, unseal
from posthouse.mail.slow_hash import slow_matches
from posthouse.store.accounts import AccountStore
from posthouse.store.logins import Login
from posthouse.store.postgres import Postgres
from servers.posthouse_command import Run

KEY = bytes(range(32))
WEAK, STRONG = (
    "Sommer2024!",
    "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",
)
Command: TypeAlias = Callable[..., Run]


@pytest.fixture
def secret(posthouse: Command) -> str:
    """Of the user `shop`."""
    made: dict[str, Any] = json.loads(
        posthouse("credential", "create", "--username", "shop", "--json").stdout
    )
    return str(made["secret"])


async def login(database: str) -> Login | None:
    async with Postgres(database) as store:
        return await AccountStore(store).login("shop")


async def everything(database: str) -> str:
    """All rows of all tables, as text."""
    connection = await asyncpg.connect(database)
    tables = await connection.fetch("SELECT quote_ident(relname) FROM pg_stat_user_tables")
    query = "SELECT t::text FROM {} t"
    rows = [row[0] for (table,) in tables
            for row in await connection.fetch(query.format(table))]  # fmt: skip
    await connection.close()
    return "\n".join(rows)


async def test_C03_U05_a_new_secret_is_shown_once_and_can_be_read_nowhere(
    posthouse: Command, database: str, secret: str
) -> None:
    seen = [secret]
    for _ in range(2):
        shown = posthouse("credential", "reset", "shop").stdout
        assert shown.endswith("The secret is not shown again.\n")
        seen.append(shown.split()[3])
    assert len(set(seen)) == 3

    known = await login(database)
    assert known is not None
    pepper = derive(KEY, Purpose.CREDENTIALS)
    assert [secret_matches(s, known.secret_hash, pepper) for s in seen] == [False, False, True]

    dump = await everything(database)
    listed = posthouse("credential", "list", "--json").stdout
    assert "shop" in dump
    assert "shop" in listed
    for one in seen:
        assert one not in dump
        assert one not in listed


async def test_U06_an_inactive_user_is_unknown_to_the_door(
    posthouse: Command, database: str, secret: str
) -> None:
    assert secret
    posthouse("credential", "disable", "shop")
    assert await login(database) is None
    posthouse("credential", "enable", "shop")
    assert await login(database) is not None


async def test_U07_U08_note_and_priority_of_a_user_are_edited(
    posthouse: Command, database: str, secret: str
) -> None:
    assert secret
    posthouse("credential", "set", "shop", "--note", "the web shop; ask Jo")
    changed = posthouse("credential", "set", "shop", "--lane", "1", "--highest-lane", "very-high")
    assert changed.stdout == "shop: lane very-high, highest lane very-high\n"
    (row,) = json.loads(posthouse("credential", "list", "--json").stdout)
    assert (row["note"], row["lane"]) == ("the web shop; ask Jo", "very-high")

    refused = posthouse("credential", "set", "shop", "--highest-lane", "normal", status=1).stderr
    assert "the lane very-high would be above normal, the highest it may have" in refused
    known = await login(database)
    assert known is not None
    assert (known.lane, known.highest_lane) == (Lane.VERY_HIGH, Lane.VERY_HIGH)
    posthouse("credential", "set", "shop", "--note", "")
    (row,) = json.loads(posthouse("credential", "list", "--json").stdout)
    assert row["note"] == ""


async def test_U08_a_user_may_claim_what_its_profile_says_unless_told_otherwise(
    posthouse: Command,
) -> None:
    def highest(*options: str) -> str:
        made = json.loads(posthouse("credential", "create", "--json", *options).stdout)
        return str(made["highest_lane"])

    assert highest("--profile", "mailup") == "very-high"
    assert highest("--profile", "mailup", "--highest-lane", "high") == "high"
    assert highest() == "high"
    posthouse(
        "profile", "create", "ours", "--from", "mailup", "--set", "priority.highest_of_user=3"
    )
    assert highest("--profile", "ours") == "normal"
    refused = posthouse("credential", "create", "--profile", "ours", "--lane", "2", status=1).stderr
    assert "the lane high is above normal, the highest it may have" in refused


@pytest.mark.parametrize("change", [("set", "x"), ("reset", "x"), ("disable", "x")])
def test_a_user_that_is_not_there_is_named(posthouse: Command, change: tuple[str, str]) -> None:
    assert "no credential is called 'x'" in posthouse("credential", *change, status=1).stderr


async def test_X03_two_secrets_count_while_one_replaces_the_other(
    posthouse: Command, database: str, secret: str
) -> None:
    new = posthouse(
        "credential", "reset", "shop", "--keep-previous", "24", "--sealed"
    ).stdout.split()[3]
    known = await login(database)
    assert known is not None
    pepper, sealing = derive(KEY, Purpose.CREDENTIALS), derive(KEY, Purpose.SEALED_SECRETS)
    assert secret_matches(new, known.secret_hash, pepper)
    assert known.previous_hash is not None
    assert secret_matches(secret, known.previous_hash, pepper)
    assert known.sealed is not None
    assert unseal(known.sealed, sealing).decode() == new
    assert known.scram is not None
    scram = ScramKeys.from_bytes(known.scram)
    assert scram == ScramKeys.of(new, scram.salt)
    posthouse("credential", "reset", "shop")
    known = await login(database)
    assert known is not None
    assert (known.previous_hash, known.sealed) == (None, None)


async def test_a_user_ends_at_its_time(posthouse: Command, database: str, secret: str) -> None:
    assert secret
    posthouse("credential", "expire", "shop", "2020-01-01")
    assert await login(database) is None
    assert "ends never" in posthouse("credential", "expire", "shop").stdout
    assert await login(database) is not None
    unknown = posthouse("credential", "expire", "nobody", status=1).stderr
    assert "no credential is called 'nobody'" in unknown


@pytest.mark.usefixtures("secret")
def test_what_was_done_to_a_user_is_in_the_audit(posthouse: Command) -> None:
    for change in (("disable",), ("enable",), ("reset",), ("expire", "2030-01-02")):
        posthouse("credential", change[0], "shop", *change[1:])
    posthouse("credential", "set", "shop", "--lane", "low", "--note", "Jo's")
    posthouse("credential", "set", "shop", "--lane", "very-high", status=1)
    posthouse("credential", "delete", "shop")
    posthouse("credential", "disable", "nobody", status=1)
    lines = json.loads(posthouse("audit", "--json").stdout)
    made = {"username": "shop", "profile": "native", "permissions": ["smtp"]}
    assert [(line["action"], line["detail"]) for line in reversed(lines)] == [
        ("credential create", made),
        ("credential disable", {"username": "shop"}),
        ("credential enable", {"username": "shop"}),
        ("credential reset", {"username": "shop"}),
        ("credential expire", {"username": "shop", "at": "2030-01-02T00:00:00+00:00"}),
        ("credential set", {"username": "shop", "lane": "low", "note": "Jo's"}),
        ("credential delete", {"username": "shop"}),
    ]


async def test_T03_permissions_are_given_and_changed(posthouse: Command, database: str) -> None:
    posthouse("credential", "create", "--username", "shop", "--permission", "http")
    known = await login(database)
    assert known is not None
    assert known.permissions == {"http"}
    posthouse("credential", "set", "shop", "--permission", "smtp", "--permission", "http")
    (row,) = json.loads(posthouse("credential", "list", "--json").stdout)
    assert row["permissions"] == ["http", "smtp"]
    refused = posthouse("credential", "set", "shop", "--permission", "fax", status=2).stderr
    assert "'fax' is not one of 'smtp', 'http'" in refused


async def test_a_deleted_user_is_gone_for_good_and_its_name_is_free(
    posthouse: Command, database: str, secret: str
) -> None:
    assert secret
    first = await login(database)
    assert first is not None
    assert posthouse("credential", "delete", "shop").stdout == "shop is deleted\n"
    assert await login(database) is None
    for change in ("delete", "enable", "reset", "show"):
        gone = posthouse("credential", change, "shop", status=1).stderr
        assert "no credential is called 'shop'" in gone
    assert json.loads(posthouse("credential", "list", "--json").stdout) == []

    posthouse("credential", "create", "--username", "shop")
    taken = posthouse("credential", "create", "--username", "shop", status=1).stderr
    assert "there is a credential called 'shop' already" in taken
    second = await login(database)
    assert second is not None
    assert second.credential_id != first.credential_id
    connection = await asyncpg.connect(database)
    kept = await connection.fetchrow("SELECT * FROM credentials WHERE id = $1", first.credential_id)
    await connection.close()
    assert kept is not None
    assert (kept["username"], kept["secret_hash"], kept["scram"]) == ("shop", b"", None)


async def test_open_mail_of_a_deleted_user_keeps_its_profile(
    posthouse: Command, database: str
) -> None:
    posthouse("credential", "create", "--username", "shop")
    posthouse("profile", "create", "ours")
    posthouse("credential", "set", "shop", "--profile", "ours")
    known = await login(database)
    assert known is not None
    assert known.own_profile is not None
    posthouse("credential", "delete", "shop")
    key = (known.credential_id, "ours", 1)
    async with Postgres(database) as store:
        assert known.own_profile == (await AccountStore(store).profiles([key]))[key]


@pytest.mark.usefixtures("secret")
def test_a_user_is_shown_without_its_secret(posthouse: Command) -> None:
    posthouse("credential", "reset", "shop", "--sealed", "--keep-previous", "2")
    posthouse("credential", "expire", "shop", "2020-01-01")
    shown = json.loads(posthouse("credential", "show", "shop", "--json").stdout)
    assert (shown["state"], shown["kept_by"]) == ("expired", "keyed hash")
    assert shown["mechanisms"] == ["PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5"]
    assert shown["previous_secret_until"] is not None
    assert "\nprofile         native\n" in posthouse("credential", "show", "shop").stdout


@pytest.mark.usefixtures("secret")
def test_a_user_gets_another_profile(posthouse: Command) -> None:
    posthouse("credential", "set", "shop", "--profile", "mailup")
    assert json.loads(posthouse("credential", "show", "shop", "--json").stdout)["profile"] == (
        "mailup"
    )
    refused = posthouse("credential", "set", "shop", "--profile", "none", status=1).stderr
    assert "none" in refused
    needs = posthouse("credential", "set", "shop", "--profile", "episerver", status=1).stderr
    assert "needs a bounce address" in needs


@pytest.mark.usefixtures("secret")
def test_users_are_listed_by_account_and_by_stream(posthouse: Command) -> None:
    posthouse("credential", "create", "--account", "other", "--username", "hats")
    posthouse("stream", "create", "news", "--account", "other", "--code", "N7")

    def listed(*options: str) -> list[str]:
        rows = json.loads(posthouse("credential", "list", "--json", *options).stdout)
        return [row["username"] for row in rows]

    assert listed() == ["shop", "hats"]
    assert listed("--account", "default") == ["shop"]
    assert listed("--stream", "news") == listed("--stream", "n7") == ["hats"]
    assert listed("--stream", "none") == []


# Brought along.


async def test_X03_user_name_and_secret_are_brought_along(
    posthouse: Command, database: str, tmp_path: Path
) -> None:
    """Neither the command line nor the output has the secret."""
    file = tmp_path / "secret"
    file.write_text(f"{WEAK}\n")
    made = posthouse(
        "credential", "create", "--username", "shop", "--secret-file", str(file)
    ).stdout
    assert "secret    as it was given (kept by scrypt: it could be guessed)\n" in made
    assert WEAK not in made
    shown = json.loads(posthouse("credential", "show", "shop", "--json").stdout)
    assert (shown["kept_by"], shown["mechanisms"][2]) == ("scrypt", "SCRAM-SHA-256")
    known = await login(database)
    assert known is not None
    pepper = derive(KEY, Purpose.CREDENTIALS)
    assert slow_matches(hash_secret(WEAK, pepper), known.secret_hash)
    assert known.scram is not None
    scram = ScramKeys.from_bytes(known.scram)
    assert scram == ScramKeys.of(WEAK, scram.salt, 600_000)
    assert WEAK not in await everything(database)
    assert hash_secret(WEAK, pepper).hex() not in await everything(database)

    file.write_bytes(STRONG.encode() + b"\r\n")
    reset = posthouse("credential", "reset", "shop", "--secret-file", str(file)).stdout
    assert "(kept by a keyed hash)" in reset
    known = await login(database)
    assert known is not None
    assert secret_matches(STRONG, known.secret_hash, pepper)


def test_M01_X03_a_secret_comes_by_standard_input_for_an_address_as_user_name(
    posthouse: Command,
) -> None:
    made = posthouse(
        *("credential", "create", "--username", "shop@example.com", "--secret-file", "-", "--json"),
        stdin=STRONG,
    )
    assert json.loads(made.stdout)["username"] == "shop@example.com"
    assert STRONG not in made.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", "the secret cannot be used: it has 0 characters, and 1 to 255 are allowed"),
        (b"\n", "it has 0 characters"),
        (b"x" * 256, "it has 256 characters"),
        (b"one\ntwo", "the character U+000A is not allowed"),
        (b"a\0b", "the character U+0000 is not allowed"),
        (b"\xff\xfe", "it is not UTF-8"),
    ],
)
def test_a_secret_that_no_client_could_give_is_refused(
    posthouse: Command, tmp_path: Path, given: bytes, expected: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(given)
    status = 2 if "UTF-8" in expected else 1
    create = ("credential", "create", "--username", "shop", "--secret-file", str(file))
    assert expected in posthouse(*create, status=status).stderr
    assert json.loads(posthouse("credential", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smtp_MT_injection", "all clients of the profile mailtarget give that name"),
        ("SMTP_Injection:X-MSYS-SUBACCOUNT=7", "all clients of the profile mailtarget give"),
        ("a\nb", "the character U+000A is not allowed"),
        ("x" * 256, "it has 256 characters"),
        (" shop", "clients would send it in another form"),
        ("shop\u00ad", "clients would send it in another form"),
    ],
)
def test_a_name_that_no_client_could_give_is_refused(
    posthouse: Command, name: str, expected: str
) -> None:
    refused = posthouse("credential", "create", "--username", name, status=1).stderr
    assert expected in refused
    assert json.loads(posthouse("account", "list", "--json").stdout) == []


def test_X03_a_secret_that_another_user_has_is_refused_and_does_not_tell_whose(
    posthouse: Command, tmp_path: Path
) -> None:
    """As a key it would have shut both out. One that could be guessed is no key."""
    file = tmp_path / "key"
    file.write_text(STRONG)
    given = ("--secret-file", str(file))
    posthouse("credential", "create", "--username", "shop", *given)
    posthouse("credential", "create", "--username", "other")
    for refused in (
        posthouse("credential", "create", "--username", "third", *given, status=1).stderr,
        posthouse("credential", "reset", "other", *given, status=1).stderr,
    ):
        assert "another user has this secret" in refused
        assert "shop" not in refused
    posthouse("credential", "reset", "shop", *given)
    file.write_text(WEAK)
    for name in ("fourth", "fifth"):
        posthouse("credential", "create", "--username", name, *given)


def test_T02_a_key_that_is_brought_along_goes_with_the_shared_name(
    posthouse: Command, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(STRONG)
    create = ("credential", "create", "--profile", "mailtarget", "--secret-file", str(file))
    made = posthouse(*create, "--username", "shop").stdout
    assert "or        username smtp_mt_injection with the same secret\n" in made
    twice = posthouse(*create, "--username", "other", status=1).stderr
    assert "another user has this secret" in twice
    assert STRONG not in twice
    posthouse("credential", "reset", "shop", "--secret-file", str(file))
    file.write_text(WEAK)
    assert "smtp_mt_injection" not in posthouse(*create, "--username", "third").stdout


def test_U01_users_of_a_list_are_added_shown_edited_and_deleted(posthouse: Command) -> None:
    posthouse("credential", "create", "--account", "shop", "--username", "other")
    posthouse("stream", "create", "news", "--account", "shop", "--code", "n7")
    profile = ("profile", "create", "ours", "--from", "mailup", "--account", "shop")
    posthouse(*profile, "--set", "control.default_stream=n7")
    posthouse("credential", "create", "--account", "shop", "--username", "u", "--profile", "ours")

    def users() -> list[tuple[str, bool, str]]:
        rows = json.loads(posthouse("credential", "list", "--stream", "n7", "--json").stdout)
        return [(row["username"], row["active"], row["note"]) for row in rows]

    assert ("u", True, "") in users()
    posthouse("credential", "set", "u", "--note", "the web shop")
    posthouse("credential", "disable", "u")
    assert ("u", False, "the web shop") in users()
    posthouse("credential", "delete", "u")
    assert "u" not in [name for name, *_ in users()]


async def test_U04_users_may_be_called_as_there(posthouse: Command, database: str) -> None:
    posthouse("credential", "create", "--username", "s00123_45", "--profile", "mailup")
    async with Postgres(database) as store:
        found = await AccountStore(store).login("s00123_45")
    assert found is not None
    assert "mailup" == found.profile
