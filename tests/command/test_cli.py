"""The `posthouse` command, as a person or a script calls it, against a real database."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from onebox.all_settings import SERVICES
from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.lane import Lane
from posthouse.mail.secret import Purpose, derive, secret_matches, unseal
from posthouse.running.identity import new_id
from posthouse.store.accounts import AccountStore
from posthouse.store.kept_mail import KeptMail, OperatorMailStore
from posthouse.store.postgres import Postgres
from servers.posthouse_command import Run, call
from servers.stores import bounced, open_stores

KEY = bytes(range(32))
Command: TypeAlias = Callable[..., Run]


def test_a_command_brings_in_no_service_that_it_does_not_use() -> None:
    """Half the time of a short command is what it imports."""
    services = "bounces", "dispatcher", "ingest", "policy", "aio_pika", "starlette", "uvicorn"
    listed = f"import sys; print(sorted(set({services}) & set(sys.modules)))"
    for module in ("command.cli", "command.commands.credential"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}; {listed}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "[]\n", module


async def test_one_command_makes_a_sender_that_the_services_accept(
    posthouse: Command, database: str
) -> None:
    """The secret fits its hash, and both DKIM keys open with the relay's key and are published."""
    made: dict[str, Any] = json.loads(
        posthouse("credential", "create", "--json", "--domain", "Müller.Example").stdout
    )
    assert made["account"] == "default"
    assert made["username"].startswith("ph-")
    assert made["domains"] == ["xn--mller-kva.example"]

    async with Postgres(database) as store:
        accounts = AccountStore(store)
        login = await accounts.login(made["username"])
        assert login is not None
        assert secret_matches(made["secret"], login.secret_hash, derive(KEY, Purpose.CREDENTIALS))
        assert login.domains == {"xn--mller-kva.example"}
        owned = (login.account_id, "xn--mller-kva.example")
        domain = (await accounts.find_sending_domains([owned]))[owned]
    assert {key.algorithm for key in domain.keys} == {"rsa-sha256", "ed25519-sha256"}
    published = {record["name"] for record in made["records"]}
    for key in domain.keys:
        pkcs8 = unseal(key.sealed, derive(KEY, Purpose.DKIM_KEYS))
        SigningKey.load(domain.name, key.selector, key.algorithm, pkcs8).sign(b"text")
        assert f"{key.selector}._domainkey.{domain.name}" in published


def test_T02_a_key_is_shown_with_the_user_name_that_its_clients_share(posthouse: Command) -> None:
    made = json.loads(posthouse("credential", "create", "--json", "--profile", "mailtarget").stdout)
    assert made["shared_username"] == "smtp_mt_injection"
    assert made["key"] == f"{made['username']}.{made['secret']}"
    text = posthouse("credential", "create", "--username", "k1", "--profile", "mailtarget").stdout
    again = posthouse("credential", "reset", "k1").stdout
    for shown in (text, again):
        assert "or        username smtp_mt_injection with the secret k1." in shown
    assert "shared_username" not in json.loads(posthouse("credential", "create", "--json").stdout)


async def test_a_credential_keeps_its_lanes_and_can_be_switched_off(
    posthouse: Command, database: str
) -> None:
    posthouse(
        "credential", "create", "--account", "acme", "--username", "news",
        "--lane", "bulk", "--highest-lane", "4", "--note", "the newsletter",
    )  # fmt: skip
    async with Postgres(database) as store:
        login = await AccountStore(store).login("news")
        assert login is not None
        assert (login.lane, login.highest_lane) == (Lane.BULK, Lane.LOW)
        posthouse("credential", "disable", "news")
        assert await AccountStore(store).login("news") is None
    assert "disabled" in posthouse("credential", "list").stdout
    (row,) = json.loads(posthouse("credential", "list", "--json").stdout)
    assert (row["account"], row["lane"], row["note"]) == ("acme", "bulk", "the newsletter")
    assert "secret_hash" not in row
    assert "no credential is called" in posthouse("credential", "enable", "x", status=1).stderr
    again = posthouse("credential", "create", "--username", "news", status=1)
    assert "'news' already" in again.stderr


def test_a_domain_shows_the_records_to_publish_then_and_later(posthouse: Command) -> None:
    added = posthouse(
        "domain", "add", "x.example", "--return-path-host", "back.x.example", "--no-ed25519",
        "--published-spf", "v=spf1 include:_spf.google.com -all",
    )  # fmt: skip
    assert 'x.example. IN TXT "v=spf1 include:_spf.google.com a:relay.example -all"' in added.stdout
    assert "back.x.example. IN MX 10 relay.example." in added.stdout
    assert added.stdout.count("_domainkey") == 1

    (domain,) = json.loads(posthouse("domain", "list", "--json").stdout)
    assert domain["verified_at"] is None
    posthouse("domain", "verify", "x.example")
    shown = json.loads(posthouse("domain", "records", "x.example", "--json").stdout)
    assert shown["verified"] is True
    assert {record["type"] for record in shown["records"]} == {"TXT", "MX"}
    assert "has the domain" in posthouse("domain", "add", "x.example", status=1).stderr


def test_a_domain_belongs_to_one_account_until_the_operator_shares_it(posthouse: Command) -> None:
    """Two sets of keys under the same selectors could not both be in DNS."""
    posthouse("credential", "create", "--account", "shop", "--domain", "x.example")
    refused = posthouse(
        "credential", "create", "--account", "news", "--domain", "x.example", status=1
    ).stderr
    assert "the account shop has the domain x.example already" in refused
    assert "posthouse domain share x.example --account NAME" in refused
    assert len(json.loads(posthouse("credential", "list", "--json").stdout)) == 1

    posthouse("domain", "share", "x.example", "--account", "news")
    posthouse("credential", "create", "--account", "news", "--domain", "x.example")
    of_shop, of_news = json.loads(posthouse("domain", "list", "--json").stdout)
    assert {of_shop["account"], of_news["account"]} == {"shop", "news"}
    assert of_shop["selectors"] == of_news["selectors"]
    again = posthouse("domain", "share", "x.example", "--account", "news", status=1).stderr
    assert "the accounts news and shop has" not in again
    assert "have the domain x.example already" in again
    unknown = posthouse("domain", "share", "y.example", "--account", "news", status=1).stderr
    assert "no account has the domain y.example" in unknown


async def test_keys_are_rotated_without_an_unsigned_message(
    posthouse: Command, database: str
) -> None:
    """Published, active, retired; keys of one month get selectors of their own."""
    posthouse("domain", "add", "x.example", "--no-ed25519", "--onboarding", "trusted")

    def states() -> dict[str, str]:
        listed = json.loads(posthouse("domain", "keys", "list", "x.example", "--json").stdout)[
            "keys"
        ]
        return {key["selector"]: key["state"] for key in listed}

    async def signing() -> list[str]:
        async with Postgres(database) as store:
            accounts = AccountStore(store)
            account = await accounts.account("default")
            assert account is not None
            found = await accounts.find_sending_domains([(account, "x.example")])
        (domain,) = found.values()
        return [key.selector for key in domain.keys]

    ((old, state),) = states().items()
    assert "active" == state
    made = json.loads(posthouse("domain", "keys", "add", "x.example", "--json").stdout)
    new, ed25519 = made["selectors"]
    assert [f"{s}._domainkey.x.example" for s in (new, ed25519)] == [
        record["name"] for record in made["records"]
    ]
    assert {old: "active", new: "published", ed25519: "published"} == states()
    assert [old] == await signing()

    last = posthouse("domain", "keys", "retire", "x.example", old, status=1).stderr
    assert f"without {old} no key of x.example would be active" in last
    posthouse("domain", "keys", "activate", "x.example", new)
    assert {old, new} == set(await signing())
    posthouse("domain", "keys", "retire", "x.example", old)
    assert [new] == await signing()
    assert {old: "retired", new: "active", ed25519: "published"} == states()
    shown = posthouse("domain", "records", "x.example").stdout
    assert "does not sign yet" in shown
    assert "signs no more" in shown
    assert "retired" in posthouse("domain", "keys", "list", "x.example").stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("list", "y.example"), "no account has the domain y.example; `posthouse domain add`"),
        (("add", "y.example"), "no account has the domain y.example"),
        (("activate", "x.example", "s9"), "x.example has no key 's9'; its keys: ph"),
        (("retire", "x.example", "s9"), "x.example has no key 's9'; its keys: ph"),
        (("activate", "x.example", "{active}"), "is active already"),
        (("list", "x"), "'x' is not a domain"),
    ],
)
def test_a_key_that_cannot_be_changed_is_told_why(
    posthouse: Command, arguments: tuple[str, ...], complaint: str
) -> None:
    posthouse("domain", "add", "x.example", "--no-ed25519")
    (key,) = json.loads(posthouse("domain", "keys", "list", "x.example", "--json").stdout)["keys"]
    filled = [argument.replace("{active}", key["selector"]) for argument in arguments]
    assert complaint in posthouse("domain", "keys", *filled, status=1).stderr


async def test_E04_a_bounce_address_is_mandatory(posthouse: Command) -> None:
    wanted = ("credential", "create", "--account", "mailer", "--profile", "episerver")
    refused = posthouse(*wanted, status=1).stderr
    assert "the profile 'episerver' needs a bounce address, and" in refused
    posthouse("account", "set", "mailer", "--bounce-address", "bounces@elsewhere.test")
    posthouse(*wanted)


async def test_an_account_has_profiles_of_its_own(posthouse: Command, database: str) -> None:
    """A user gets one by its name; a change is a new revision, for mail from then on."""
    posthouse("account", "create", "shop")
    unknown = posthouse(
        "credential", "create", "--account", "shop", "--profile", "ours", status=1
    ).stderr
    assert "no profile is called 'ours'; there is: native" in unknown
    assert "of the account: none" in unknown
    posthouse("profile", "create", "ours", "--set", "tracking.opens=true", "--account", "shop")
    made = posthouse(
        "profile",
        "create",
        "ours",
        *("--set", "priority.highest=low", "--set", "tags.max_count=3"),
        "--account",
        "shop",
    ).stdout
    assert "shop has the profile ours, revision 2\n" == made
    posthouse(
        "credential", "create", "--account", "shop", "--profile", "ours", "--username", "shop-1"
    )
    async with Postgres(database) as store:
        login = await AccountStore(store).login("shop-1")
    assert login is not None
    assert login.own_profile is not None
    assert {"priority.highest": "low", "tags.max_count": 3} == login.own_profile.knobs
    *presets, listed = json.loads(posthouse("profile", "list", "--json").stdout)
    assert {"native", "critsend"} < {each["name"] for each in presets}
    assert ("shop", "ours", 2, "native") == tuple(
        listed[key] for key in ("account", "name", "revision", "preset")
    )
    assert "ours" in posthouse("profile", "list").stdout
    shown = posthouse("profile", "show", "ours", "--account", "shop").stdout
    assert re.search(r"^\* tags\.max_count +3$", shown, re.MULTILINE)
    assert re.search(r"^  tags\.max_characters +64$", shown, re.MULTILINE)
    knobs = json.loads(posthouse("profile", "show", "ours", "--account", "shop", "--json").stdout)
    assert knobs["tags.max_count"] == 3
    other = posthouse("credential", "create", "--profile", "ours", status=1).stderr
    assert "no profile is called 'ours'" in other
    assert [a["name"] for a in json.loads(posthouse("account", "list", "--json").stdout)] == [
        "shop"
    ]


async def test_a_user_of_a_parent_sends_for_its_children(posthouse: Command, database: str) -> None:
    posthouse("account", "create", "group")
    posthouse("account", "create", "shop", "--parent", "group")
    posthouse("credential", "create", "--account", "group", "--username", "all")
    posthouse("domain", "add", "x.example", "--account", "shop", "--onboarding", "trusted")
    async with Postgres(database) as store:
        login = await AccountStore(store).login("all")
        assert login is not None
        assert {"x.example": await AccountStore(store).account("shop")} == login.child_domains
    listed = json.loads(posthouse("account", "list", "--json").stdout)
    assert [("group", None), ("shop", "group")] == [(a["name"], a["parent"]) for a in listed]
    assert "child of group" in posthouse("account", "list").stdout
    refused = posthouse("account", "create", "y", "--parent", "nobody", status=1).stderr
    assert "no account is called 'nobody'; there is: 'group', 'shop'" in refused


def test_another_secret_key_is_refused_before_anything_is_made_with_it(
    posthouse: Command, database: str
) -> None:
    posthouse("init")
    environ = {
        "POSTHOUSE_DATABASE_URL": database,
        "POSTHOUSE_BROKER_URL": "amqp://nobody@127.0.0.1:1/",
        "POSTHOUSE_SECRET_KEY": base64.b64encode(bytes(32)).decode(),
        "POSTHOUSE_HEALTH_LISTEN": "127.0.0.1:0",
        "POSTHOUSE_INGEST_LISTENERS": "127.0.0.1:0/none",
        "POSTHOUSE_BOUNCES_LISTEN": "127.0.0.1:0",
        "POSTHOUSE_TRACKING_LISTEN": "127.0.0.1:0",
        "POSTHOUSE_CONSOLE_LISTEN": "127.0.0.1:0",
    }
    for command in (
        ("init",), ("credential", "create"), ("domain", "add", "x.example"), ("up",),
        ("ingest",), ("policy",), ("bounces",), ("tracking",),
    ):  # fmt: skip
        refused = call(*command, **environ)
        assert refused.returncode == 1, command
        assert "the secret key is not the one that this database" in refused.stderr + refused.stdout
    assert json.loads(posthouse("credential", "list", "--json").stdout) == []


def test_a_lost_secret_key_is_told_before_anything_is_made(
    posthouse: Command, database: str, tmp_path: Path
) -> None:
    """A new key would hide that the old one is gone: logins and DKIM keys need that one."""
    posthouse("init")
    for command in ("init", "up"):
        environ = {"POSTHOUSE_DATABASE_URL": database, "POSTHOUSE_DATA": str(tmp_path / "data")}
        refused = call(command, **environ)
        assert refused.returncode != 0
        assert "secret.key is missing, and the database was set up with a secret" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not (tmp_path / "data").exists()


def test_init_does_not_wait_for_a_password_to_become_right(
    posthouse: Command, database: str, tmp_path: Path
) -> None:
    posthouse("init")
    stranger = database.replace("posthouse@", "stranger@", 1)
    environ = {"POSTHOUSE_DATABASE_URL": stranger, "POSTHOUSE_DATA": str(tmp_path / "data")}
    refused = call("init", **environ)
    assert refused.returncode == 1
    assert 'role "stranger" does not exist' in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_new_database_elsewhere_gets_a_new_key(empty_database: str, tmp_path: Path) -> None:
    environ = {"POSTHOUSE_DATABASE_URL": empty_database, "POSTHOUSE_DATA": str(tmp_path / "data")}
    for _ in range(2):
        made = call("init", **environ)
        assert made.returncode == 0, made.stderr
    assert (tmp_path / "data" / "secret.key").exists()


def test_C26_suppressions_are_managed_by_hand(posthouse: Command) -> None:
    """LESSONS 8: an operator can add, see and remove."""
    posthouse("account", "create", "default")
    posthouse("suppression", "add", "Gone@Y.Example", "--reason", "asked us to")
    (entry,) = json.loads(posthouse("suppression", "list", "--json").stdout)
    assert (entry["address"], entry["reason"]) == ("Gone@y.example", "asked us to")
    posthouse("suppression", "remove", "Gone@y.example")
    assert "nothing" in posthouse("suppression", "list").stdout
    posthouse("suppression", "remove", "Gone@y.example", status=1)
    assert "has no @" in posthouse("suppression", "add", "gone", status=1).stderr
    other = posthouse("suppression", "list", "--account", "acme", status=1)
    assert "no account is called 'acme'; there is: 'default'" in other.stderr


def test_an_entry_for_a_domain_and_one_for_a_tag(posthouse: Command) -> None:
    """What was done is in the audit."""
    posthouse("account", "create", "default")
    posthouse("suppression", "add", "@Y.Example", "--days", "7", "--tag", "news")
    posthouse("suppression", "add", "a@y.example", "--list", "unsubscribe")
    shown = posthouse("suppression", "search", "Y.example").stdout
    assert "tag:news" in shown
    assert "unsubscribe" in shown
    assert "nothing" in posthouse("suppression", "search", "other.example").stdout
    posthouse("suppression", "remove", "@y.example", "--stream", "news", status=1)
    posthouse("suppression", "remove", "@y.example", "--tag", "news")
    wrong = posthouse("suppression", "add", "a@y.example", "--list", "junk", status=2)
    assert "'junk' is not one of: bounce, complaint, unsubscribe, manual" in wrong.stderr
    both = posthouse("suppression", "add", "a@y.example", "--tag", "a", "--stream", "b", status=2)
    assert "an entry holds for one of them" in both.stderr
    (removed, *added) = json.loads(posthouse("audit", "--json").stdout)
    assert ["suppression add"] * 2 == [line["action"] for line in added]
    assert "@y.example" == removed["detail"]["entries"][0]["address"]
    assert "@y.example" in posthouse("audit").stdout


def test_C26_suppressions_are_imported_and_exported(posthouse: Command, tmp_path: Path) -> None:
    """A bad line stops all of it; what is exported can be imported again."""
    posthouse("account", "create", "default")
    given, out = tmp_path / "old.csv", tmp_path / "new.jsonl"
    given.write_bytes(b"address,reason\r\na@x.example,=1+1\r\nnobody,\r\nb@x.example,\xff\r\n")
    refused = posthouse("suppression", "import", str(given), status=1).stderr
    assert "2 lines are no entries, nothing was imported (1 are good)" in refused
    assert "line 3: 'nobody' is not a mail address" in refused
    assert "line 4: reason is" in refused
    assert "nothing" in posthouse("suppression", "list").stdout

    given.write_text("address,reason\na@x.example,=1+1\n@dest.example,\n")
    done = posthouse("suppression", "import", str(given), "--list", "unsubscribe").stdout
    assert "2 entries read, 2 new or longer for default" in done
    printed = posthouse("suppression", "export")
    assert "2 entries written" in printed.stderr
    header, domain, ann = printed.stdout.splitlines()
    assert header.startswith("address,list,")
    assert domain.startswith("'@dest.example,unsubscribe,")
    assert ",'=1+1," in ann

    posthouse("suppression", "export", str(out))
    posthouse("account", "create", "other")
    assert "2 new" in posthouse("suppression", "import", str(out), "--account", "other").stdout
    missing = posthouse("suppression", "import", str(tmp_path / "none.csv"), status=1)
    assert "cannot be read: No such file" in missing.stderr


async def test_a_corrected_rule_lifts_what_it_would_not_have_listed(
    posthouse: Command, database: str
) -> None:
    """Entries made by a wrong rule are shown, then lifted in one action, and kept in the audit."""
    async with open_stores(database) as stores:
        for name, said in (("ann", "Sender verify failed"), ("bob", "no such user")):
            await stores.queue(recipients=(f"{name}@dest.example",))
            failed = bounced(await stores.claim_one(), answer=said, code=550)
            await stores.deliveries.settle(failed)
        posthouse("suppression", "add", "eve@dest.example", "--account", "shop")

        shown = posthouse("suppression", "recheck").stdout
        assert "ann@dest.example" in shown
        assert "sender verification" in shown
        assert "1 entries; --lift removes them" in shown
        assert 3 == len(json.loads(posthouse("suppression", "list", "--json").stdout))

        (wrong,) = json.loads(posthouse("suppression", "recheck", "--lift", "--json").stdout)
        assert "ann@dest.example" == wrong["address"]
        left = json.loads(posthouse("suppression", "list", "--json").stdout)
        assert {"bob@dest.example", "eve@dest.example"} == {entry["address"] for entry in left}
        line = json.loads(posthouse("audit", "--json").stdout)[0]
        assert ("suppression recheck", "shop") == (line["action"], line["account"])
        (entry,) = line["detail"]["entries"]
        assert "Sender verify failed" == entry["evidence"]["bounces"][0]["answer"]
        assert "0 lifted" in posthouse("suppression", "recheck", "--lift").stdout


def test_an_empty_queue_and_an_unknown_message_are_told_plainly(posthouse: Command) -> None:
    assert posthouse("queue").stdout == "nothing waits\n"
    assert json.loads(posthouse("queue", "--json").stdout) == []
    assert "there is no message" in posthouse("message", "0" * 32, status=1).stderr
    assert "32 hex digits" in posthouse("message", "12", status=1).stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["domain", "add", "no domain"], "is not a domain"),
        (["domain", "add", "[192.0.2.1]"], "is not a domain"),
        (["domain", "add", "localhost"], "is not a domain"),
        (["credential", "create", "--lane", "fast"], "no lane is called 'fast'"),
        (["credential", "create", "--lane", "1", "--highest-lane", "2"], "above high"),
        (["profile", "create", "native"], "'native' is a preset"),
        (
            ["profile", "create", "ours", "--from", "x"],
            "no profile is called 'x'; there is: native",
        ),
        (["profile", "create", "ours", "--set", "tracking"], "'tracking' is not KNOB=VALUE"),
        (
            ["profile", "create", "ours", "--set", "recipients.bcc=first_only"],
            "recipients.bcc=first_only belongs to recipients.policy=first_to_and_one_bcc",
        ),
        (["profile", "create", "ours", "--set", "a.b=1"], "no knob is called 'a.b'; there is: "),
        (
            ["profile", "create", "ours", "--set", "tracking.opens=2"],
            "tracking.opens: 2 is not true or",
        ),
    ],
)
def test_bad_input_is_named_before_anything_is_done(arguments: list[str], complaint: str) -> None:
    done = call(*arguments, POSTHOUSE_SECRET_KEY=base64.b64encode(KEY).decode())
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_one_line_and_exit_1() -> None:
    done = call("queue", POSTHOUSE_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the database cannot be used: ")
    assert done.stderr.count("\n") == 1


def test_a_misspelt_setting_does_not_lead_to_another_database() -> None:
    done = call("queue", POSTHOUSE_DATABSE_URL="postgresql://x@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "is POSTHOUSE_DATABASE_URL meant?" in done.stderr


def test_without_an_installation_no_command_makes_one(tmp_path: Path) -> None:
    done = call("--data", str(tmp_path / "none"), "queue")
    assert done.returncode == 1
    assert "run `posthouse init`" in done.stderr
    assert not (tmp_path / "none").exists()


def test_help_is_quick_and_names_every_command() -> None:
    """Probes and scripts call it: nothing heavy is imported to say what there is."""
    probe = (
        "import sys, command.cli, click.testing\n"
        "r = click.testing.CliRunner().invoke(command.cli.posthouse, ['--help'])\n"
        "heavy = {'asyncpg', 'pydantic', 'rich', 'aiosmtpd', 'cryptography'} & set(sys.modules)\n"
        "print(r.output, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "credential" in done.stdout
    assert done.stdout.rstrip().endswith("set()")


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "migrate",
        "account",
        "config",
        "ingest",
        "policy",
        "dispatcher",
        "bounces",
        "console",
        "send",
    ],
)
def test_every_command_has_help(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: posthouse {command}" in done.stdout


SPLIT = {
    "POSTHOUSE_DATABASE_URL": "postgresql://posthouse:sesame@db/posthouse",
    "POSTHOUSE_BROKER_URL": "amqp://posthouse:sesame@mq1/, amqp://posthouse:sesame@mq2/",
    "POSTHOUSE_SECRET_KEY": base64.b64encode(KEY).decode(),
}


def test_config_check_shows_what_is_in_force_and_no_secret() -> None:
    done = call("config", "check", "--json", **SPLIT, POSTHOUSE_LANE_LIMITS="9,8,7,6,5")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {*SERVICES}
    assert found["dispatcher"]["POSTHOUSE_LANE_LIMITS"] == "9,8,7,6,5"
    nodes = found["policy"]["POSTHOUSE_BROKER_URL"]
    assert nodes == "amqp://posthouse:********@mq1/,amqp://posthouse:********@mq2/"
    assert "sesame" not in done.stdout
    assert SPLIT["POSTHOUSE_SECRET_KEY"] not in done.stdout


def test_config_check_names_every_mistake_of_every_service_once() -> None:
    done = call("config", "check", **SPLIT, POSTHOUSE_LANE_LIMITS="1,2", POSTHOUSE_TYPO="x")
    assert done.returncode == 1
    assert done.stderr.count("POSTHOUSE_LANE_LIMITS") == 1
    assert done.stderr.count("POSTHOUSE_TYPO") == 1


@pytest.mark.parametrize("program", ["up", "ingest"])
def test_config_check_wants_a_database_that_is_a_postgresql(program: str) -> None:
    done = call(
        "config", "check", program, **{**SPLIT, "POSTHOUSE_DATABASE_URL": "mysql://x:sesame@y/z"}
    )
    assert done.returncode == 1
    assert "POSTHOUSE_DATABASE_URL: should begin with postgresql://" in done.stderr
    assert "sesame" not in done.stderr


def test_config_check_of_a_onebox_needs_nothing_set(tmp_path: Path) -> None:
    done = call("config", "check", POSTHOUSE_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# up\n")
    assert not (tmp_path / "data").exists()


def test_config_reference_lists_every_setting_once() -> None:
    lines = call("config", "reference").stdout.splitlines()
    assert sum("`POSTHOUSE_DATABASE_URL`" in line for line in lines) == 1
    assert all(line.count("|") == 5 for line in lines)


def test_an_account_says_who_hears_of_failures(posthouse: Command) -> None:
    posthouse("domain", "add", "news.example.com", "--account", "acme")
    held = "held when a threshold is exceeded: yes"
    assert ["reports to senders (DSN): on", "bounce address: none", held] == posthouse(
        "account", "set", "acme"
    ).stdout.splitlines()
    said = posthouse("account", "set", "acme", "--no-dsn", "--bounce-address", "b@example.com")
    expected = ["reports to senders (DSN): off", "bounce address: b@example.com", held]
    assert expected == said.stdout.splitlines()
    said = posthouse(
        *("account", "set", "acme", "--dsn", "--bounce-address", "", "--no-automatic-hold")
    )
    not_held = held.replace("yes", "no")
    expected = ["reports to senders (DSN): on", "bounce address: none", not_held]
    assert expected == said.stdout.splitlines()
    assert "no account is called 'x'" in posthouse("account", "set", "x", status=1).stderr


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("bounces@news.example.com", "news.example.com is one of its sending domains"),
        ("bounces@mx.NEWS.example.com", "news.example.com is one of its sending domains"),
        ("bounces@back.example.com", "back.example.com is one of its sending domains, or takes"),
        ("bounces", "'bounces' is not a mail address: it has no @"),
    ],
)
def test_a_bounce_address_whose_mail_would_come_back_is_refused(
    posthouse: Command, address: str, reason: str
) -> None:
    posthouse(
        "domain", "add", "news.example.com", "--account", "acme",
        "--return-path-host", "back.example.com",
    )  # fmt: skip
    said = posthouse("account", "set", "acme", "--bounce-address", address, status=1)
    assert reason in said.stderr
    assert "bounce address: none" in posthouse("account", "set", "acme").stdout


def test_a_domain_that_holds_the_bounce_address_is_refused(posthouse: Command) -> None:
    posthouse("account", "create", "acme")
    posthouse("account", "set", "acme", "--bounce-address", "b@mx.example.org")
    posthouse("domain", "add", "example.com", "--account", "acme")
    posthouse("domain", "add", "example.org", "--account", "other")
    for verb in ("add", "share"):
        said = posthouse("domain", verb, "example.org", "--account", "acme", status=1)
        assert "bounce address b@mx.example.org lies in example.org" in said.stderr


async def test_kept_mail_is_listed_shown_and_removed(posthouse: Command, database: str) -> None:
    """What a stranger wrote reaches the terminal harmless."""
    assert "no mail is kept" in posthouse("postmaster", "list").stdout
    content = b"Subject: spam \x1b[2Jfrom you\r\n\r\nStop \x07 it.\r\n"
    mail = KeptMail(
        new_id(), datetime.now(UTC), "abuse@relay.example", "", "192.0.2.1", 99, content, ""
    )
    async with Postgres(database) as store:
        await OperatorMailStore(store).keep(mail, "loop")
    listed = posthouse("postmaster", "list").stdout
    assert "spam ?[2Jfrom you" in listed
    assert mail.id.hex in listed
    (row,) = json.loads(posthouse("postmaster", "list", "--json").stdout)
    assert ("abuse@relay.example", 99, "loop") == (row["recipient"], row["size"], row["reason"])
    assert "Stop ? it." in posthouse("postmaster", "show", mail.id.hex).stdout
    assert "Stop \x07 it." in posthouse("postmaster", "show", "--raw", mail.id.hex).stdout
    assert "say --all" in posthouse("postmaster", "remove", status=2).stderr
    assert "removed 1 message" in posthouse("postmaster", "remove", mail.id.hex).stdout
    gone = posthouse("postmaster", "remove", mail.id.hex, status=1).stderr
    assert f"no message {mail.id.hex} is kept" in gone
    assert "removed 0 messages" in posthouse("postmaster", "remove", "--all").stdout


def test_the_operator_holds_and_releases_an_account(posthouse: Command) -> None:
    """The list, the audit and the timeline say so; a child is held when that is asked for."""
    posthouse("account", "create", "agency")
    posthouse("account", "create", "shop", "--parent", "agency")
    assert "agency is held\n" == posthouse("account", "hold", "agency", "--reason", "spam").stdout
    assert "agency was held already\nshop is held\n" == posthouse(
        "account", "hold", "agency", "--reason", "all of it", "--with-children"
    ).stdout  # fmt: skip
    agency, shop = json.loads(posthouse("account", "list", "--json").stdout)
    assert ("spam", "all of it") == (agency["held_for"], shop["held_for"])
    assert f"by {agency['held_by']}: spam" in posthouse("account", "list").stdout
    assert "released; it was held since" in posthouse("account", "release", "agency").stdout
    assert "agency was not held\n" == posthouse("account", "release", "agency").stdout
    actions = [line["action"] for line in json.loads(posthouse("audit", "--json").stdout)]
    assert ["account release", "account hold", "account hold"] == actions
    assert "shop" in posthouse("account", "hold", "nobody", "--reason", "x", status=1).stderr
    assert "--reason" in posthouse("account", "hold", "agency", status=2).stderr
    assert "is empty" in posthouse("account", "hold", "agency", "--reason", " ", status=1).stderr
