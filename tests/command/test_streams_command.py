"""`posthouse stream` and `posthouse account sender`, against a real database."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from posthouse.store.postgres import Postgres
from posthouse.store.relay_names import NameOnRecord, RelayName
from servers.posthouse_command import Run, call

Command: TypeAlias = Callable[..., Run]


@pytest.fixture
def posthouse(database: str) -> Command:
    """`posthouse` on a fresh database with the account shop."""

    def run(*arguments: str, status: int = 0) -> Run:
        done = call(
            *arguments,
            POSTHOUSE_DATABASE_URL=database,
            POSTHOUSE_SECRET_KEY=base64.b64encode(bytes(32)).decode(),
            POSTHOUSE_HOSTNAME="relay.example",
        )
        assert status == done.returncode, done.stderr
        assert "Traceback" not in done.stderr
        return done

    run("account", "create", "shop")
    return run


def test_a_stream_is_made_changed_listed_and_deleted(posthouse: Command) -> None:
    of_shop = ("--account", "shop")
    made = posthouse("stream", "create", "news", "--click-tracking", "off", *of_shop).stdout
    code = made.split()[-1]
    assert f"created the stream news of shop, code {code}\n" == made
    assert 16 == len(code)
    posthouse("stream", "create", "bills", "--code", "B-1", *of_shop)
    shown = posthouse(
        "stream", "set", "news", "--code", "N1", "--open-tracking", "on", *of_shop
    ).stdout
    assert "news, code n1: open tracking on, click tracking off\n" == shown
    shown = posthouse("stream", "set", "news", "--click-tracking", "profile", *of_shop).stdout
    assert "news, code n1: open tracking on\n" == shown
    bills, news = json.loads(posthouse("stream", "list", "--json", *of_shop).stdout)
    assert ("bills", "b-1", "profile") == (bills["name"], bills["code"], bills["open_tracking"])
    assert ("on", "profile") == (news["open_tracking"], news["check_bounces"])
    assert "n1" in posthouse("stream", "list", *of_shop).stdout
    posthouse("stream", "delete", "news", *of_shop)
    refused = posthouse("stream", "delete", "news", *of_shop, status=1).stderr
    assert "the account shop has no stream 'news'; there is: 'bills'" in refused


@pytest.mark.parametrize(
    ("arguments", "says", "status"),
    [
        (("create", "news", "--code", "x"), "has a stream that is called 'news' or 'x' already", 1),
        (("set", "news", "--code", "b1"), "has another stream that is called 'b1'", 1),
        (("set", "none"), "has no stream 'none'; there is: 'bills', 'news'", 1),
        (("create", "x", "--code", "a b"), "'a b' is not a code: 1 to 64 printable ASCII", 2),
        (("create", " x"), "' x' is not a name: 1 to 100 printable characters", 2),
        (("create", "x", "--check-bounces", "yes"), "'yes' is not one of 'on', 'off'", 2),
    ],
)
def test_what_cannot_be_a_stream_is_told_why(
    posthouse: Command, arguments: tuple[str, ...], says: str, status: int
) -> None:
    posthouse("stream", "create", "news", "--account", "shop")
    posthouse("stream", "create", "bills", "--code", "b1", "--account", "shop")
    refused = posthouse("stream", *arguments, "--account", "shop", status=status).stderr
    assert says in " ".join(refused.replace("│", " ").split())


def test_U19_a_list_has_a_header_and_a_footer_and_new_lists_can_be_like_it(
    posthouse: Command, tmp_path: Path
) -> None:
    of_shop = ("--account", "shop")
    posthouse("stream", "create", "news", "--list-footer", "on", "--unsubscribe", "on", *of_shop)
    shown = posthouse("stream", "frame", "news", *of_shop).stdout
    assert "header html: none\nheader text: none\nfooter html: none\nfooter text: none\n" == shown
    for name in ("footer.html", "footer.txt"):
        (tmp_path / name).write_text("Sch\u00f6ne Gr\u00fc\u00dfe\n")
    files = ("--footer-html", tmp_path / "footer.html", "--footer-text", tmp_path / "footer.txt")
    posthouse("stream", "frame", "news", *map(str, files), *of_shop)
    posthouse("stream", "create", "more", "--like", "news", "--unsubscribe", "off", *of_shop)
    text = "Sch\u00f6ne Gr\u00fc\u00dfe"
    expected = f"header html: none\nheader text: none\nfooter html:\n{text}\nfooter text:\n{text}\n"
    assert expected == posthouse("stream", "frame", "more", *of_shop).stdout
    listed = json.loads(posthouse("stream", "list", "--json", *of_shop).stdout)
    said = [(one["list_footer"], one["unsubscribe"]) for one in listed]
    assert [("on", "off"), ("on", "on")] == said
    (tmp_path / "empty").write_text("")
    none = ("--footer-html", str(tmp_path / "empty"))
    assert "footer html: none\n" in posthouse("stream", "frame", "more", *none, *of_shop).stdout
    (tmp_path / "footer.txt").write_bytes(b"\xff")
    wrong = ("--footer-text", str(tmp_path / "footer.txt"))
    assert (
        "is not in UTF-8" in posthouse("stream", "frame", "more", *wrong, *of_shop, status=2).stderr
    )
    refused = posthouse("stream", "create", "x", "--like", "none", *of_shop, status=1).stderr
    assert "the account shop has no stream 'none'" in refused
    assert "no stream 'x'" in posthouse("stream", "frame", "x", *of_shop, status=1).stderr


async def test_U26_who_hears_of_alerts_is_a_setting(posthouse: Command, database: str) -> None:
    shown = posthouse("account", "alerts", "shop").stdout
    assert shown.startswith("alerts: on\nalert address: none, so that nobody gets any\n")
    shown = posthouse("account", "alerts", "shop", "--off", "--address", "Boss@Shop.example").stdout
    assert shown.startswith("alerts: off\nalert address: Boss@shop.example\n")
    posthouse(
        "domain", "add", "x.example", "--account", "shop", "--return-path-host", "back.x.example"
    )
    refused = posthouse(
        "account", "alerts", "shop", "--address", "me@relay.example", status=1
    ).stderr
    assert "relay.example takes returned mail, and nobody reads there" in refused
    async with Postgres(database) as store:
        await NameOnRecord(store, RelayName("bounces", "mx.relay.example", "back.example")).say()
    for ours in ("mx.relay.example", "back.example", "back.x.example"):
        refused = posthouse("account", "alerts", "shop", "--address", f"me@{ours}", status=1).stderr
        assert f"cannot be the alert address of shop: {ours} takes returned mail" in refused
    posthouse("account", "alerts", "shop", "--on", "--address", "")
    assert shown != posthouse("account", "alerts", "shop").stdout


def test_U23_how_often_an_account_hears_of_a_kind_is_a_setting(posthouse: Command) -> None:
    command = ("account", "alerts", "shop")
    shown = posthouse(*command).stdout
    assert "\nunauthorized_sender: at_once\n" in shown
    assert "\nbounced: never\n" in shown
    assert "\ndelivered_late: never, after 1:00:00\n" in shown
    late = ("--tell", "delivered_late=at_once", "--late-after", "20")
    shown = posthouse(*command, "--tell", "bounced=daily", *late).stdout
    assert "\nbounced: daily\n" in shown
    assert "\ndelivered_late: at_once, after 0:20:00\n" in shown
    refused = posthouse(*command, "--tell", "bounced=yearly", status=2).stderr
    assert "'bounced=yearly' is not KIND=PACE" in " ".join(refused.replace("│", " ").split())


def test_M19_settings_of_an_address_are_kept(posthouse: Command) -> None:
    of_shop = ("--account", "shop")
    command = ("account", "sender")
    shown = posthouse(
        *command, "set", "News@X.example", "--check-unsubscribes", "off", *of_shop
    ).stdout
    assert "News@x.example: check unsubscribes off\n" == shown
    (listed,) = json.loads(posthouse(*command, "list", "--json", *of_shop).stdout)
    assert ("News@x.example", "off") == (listed["address"], listed["check_unsubscribes"])
    posthouse(*command, "delete", "news@x.example", *of_shop)
    again = posthouse(*command, "delete", "news@x.example", *of_shop, status=1).stderr
    assert "nothing is set for news@x.example in the account shop" in again
    wrong = posthouse(*command, "set", "news", *of_shop, status=1).stderr
    assert "it has no @" in wrong
