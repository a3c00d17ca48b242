"""`posthouse domain`: what is shown to publish, and what is checked."""

import json
from collections.abc import Callable
from typing import TypeAlias

import pytest

from posthouse.store.postgres import Postgres
from posthouse.store.relay_names import NameOnRecord, RelayName
from servers.name_server import NameServer, dns_in_thread
from servers.posthouse_command import Run

Command: TypeAlias = Callable[..., Run]


def test_C19_what_the_domain_publishes_now_is_looked_up_and_merged(posthouse: Command) -> None:
    added = posthouse("domain", "add", "old.example", "--google-workspace").stdout
    (spf,) = (line for line in added.splitlines() if "v=spf1" in line)
    merged = "v=spf1 mx include:_spf.google.com a:relay.example -all"
    assert spf == f'old.example. IN TXT "{merged}"'
    assert "NOT verified" in added
    form = posthouse("domain", "records", "old.example", "--form", "web").stdout
    assert "name   old.example\nvalue  v=spf1 mx a:relay.example -all\n" in form


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (('"v=spf1 mx -all"', '"v=spf1 a -all"'), "2 SPF records are published"),
        ((f'"v=spf1 {" ".join(f"a:h{n}.example" for n in range(10))} -all"',), "for 11 look-ups"),
    ],
)
def test_C19_a_record_that_cannot_be_merged_is_told_before_anything_is_made(
    posthouse: Command, texts: tuple[str, ...], complaint: str
) -> None:
    with dns_in_thread(NameServer({("x.example", "TXT"): texts})) as server:
        there = {"POSTHOUSE_NAMESERVERS": server.address}
        assert complaint in posthouse("domain", "add", "x.example", status=1, **there).stderr
    assert [] == json.loads(posthouse("domain", "list", "--json").stdout)


def test_a_silent_dns_is_said(posthouse: Command) -> None:
    with dns_in_thread(NameServer({}, servfail=frozenset({"x.example"}))) as server:
        said = posthouse("domain", "add", "x.example", POSTHOUSE_NAMESERVERS=server.address)
    assert "DNS did not say whether x.example has an SPF record" in said.stdout


def test_X14_how_a_domain_is_set_up_decides_when_it_may_send(posthouse: Command) -> None:
    def verified(name: str, *options: str, **environ: str) -> bool:
        added = posthouse("domain", "add", name, "--json", *options, **environ).stdout
        return bool(json.loads(added)["verified"])

    assert not verified("a.example")
    assert not verified("b.example", "--onboarding", "records")
    assert verified("c.example", "--onboarding", "trusted")
    refused = posthouse("domain", "add", "d.example", "--onboarding", "delegation", status=1)
    assert "POSTHOUSE_ZONE_NAMESERVERS" in refused.stderr
    ours = {"POSTHOUSE_ZONE_NAMESERVERS": "ns1.op.example,ns2.op.example"}
    assert not verified("d.example", "--onboarding", "delegation", **ours)
    shown = posthouse("domain", "records", "d.example", **ours).stdout
    assert "d.example. IN NS ns1.op.example." in shown
    for verb in ("records", "check"):
        unnamed = posthouse("domain", verb, "d.example", status=1).stderr
        assert "POSTHOUSE_ZONE_NAMESERVERS has to name your name servers" in unnamed
    zone = posthouse("domain", "records", "d.example", "--zone", **ours).stdout
    assert zone.startswith("$ORIGIN d.example.\n")

    # The users of an account have profiles, and these say how its domains are set up.
    posthouse("account", "create", "shop")
    posthouse(
        "profile", "create", "open", "--set", "domain.onboarding=trusted", "--account", "shop"
    )
    posthouse("credential", "create", "--account", "shop", "--profile", "open")
    assert verified("e.example", "--account", "shop")


def test_keys_by_cname_need_a_zone_of_ours(posthouse: Command) -> None:
    refused = posthouse("domain", "add", "x.example", "--dkim", "cname", status=1).stderr
    assert "POSTHOUSE_KEY_ZONE" in refused
    zone = {"POSTHOUSE_KEY_ZONE": "dkim.relay.example"}
    shown = posthouse("domain", "add", "x.example", "--dkim", "cname", **zone).stdout
    assert "ph2-rsa._domainkey.x.example. IN CNAME ph2-rsa.x.example.dkim.relay.example." in shown
    own = posthouse("domain", "records", "x.example", "--zone").stdout
    assert [line.split()[0] for line in own.splitlines()] == [
        "ph1-ed25519.x.example.dkim.relay.example.",
        "ph1-rsa.x.example.dkim.relay.example.",
    ]
    posthouse("domain", "keys", "add", "x.example")
    full = posthouse("domain", "keys", "add", "x.example", status=1).stderr
    assert "both selectors that its CNAME records have are in use: ph1-rsa, ph2-rsa" in full


async def test_programs_with_different_names_are_told_apart(
    posthouse: Command, database: str
) -> None:
    """Returned mail goes to the host of bounces; SPF permits that of the dispatcher."""
    async with Postgres(database) as store:
        for program, name in (
            ("ingest", "in.example"),
            ("dispatcher", "out.example"),
            ("bounces", "back.example"),
        ):
            await NameOnRecord(store, RelayName(program, name)).say()
    added = posthouse("domain", "add", "x.example", "--return-path-host", "b.x.example")
    assert 'x.example. IN TXT "v=spf1 a:out.example ~all"' in added.stdout
    assert "b.x.example. IN MX 10 back.example." in added.stdout
    assert "back.example (bounces); in.example (ingest); out.example (dispatcher)" in added.stderr


def test_T26_a_domain_may_send_when_its_records_are_found(posthouse: Command) -> None:
    """Wrong at first: each record with its mend, and status 1; right: verified, and status 0."""
    added = posthouse("domain", "add", "x.example", "--no-ed25519", "--json")
    records = json.loads(added.stdout)["records"]
    relay = {("relay.example", "A"): ("192.0.2.1",)}
    with dns_in_thread(NameServer(relay)) as server:
        there = {"POSTHOUSE_NAMESERVERS": server.address}
        said = posthouse("domain", "check", "x.example", status=1, **there).stdout
        assert "expected  v=spf1 a:relay.example ~all" in said
        assert "seen      nothing" in said
        assert "mend      there is no SPF record: publish it" in said
        assert "It may NOT send yet" in said
    zone = {(r["name"], r["type"]): (r["zone_line"].partition(" TXT ")[2],) for r in records}
    with dns_in_thread(NameServer({**relay, **zone})) as server:
        there = {"POSTHOUSE_NAMESERVERS": server.address}
        looked = posthouse("domain", "check", "--no-verify", "--json", **there).stdout
        (checked,) = json.loads(looked)
        assert (checked["right"], checked["verified"]) == (True, False)
        assert {"right"} == {finding["state"] for finding in checked["findings"]}
        assert "it is verified now" in posthouse("domain", "check", "x.example", **there).stdout
        assert "It may send" in posthouse("domain", "check", "x.example", **there).stdout
    broken = NameServer({**relay, **zone}, servfail=frozenset({"x.example"}))
    with dns_in_thread(broken) as server:
        there = {"POSTHOUSE_NAMESERVERS": server.address}
        said = posthouse("domain", "check", "x.example", status=3, **there).stdout
        assert "DNS gave no answer to some questions. It may send." in said
    (domain,) = json.loads(posthouse("domain", "list", "--json").stdout)
    assert domain["verified_at"] is not None


def test_C18_an_account_has_several_domains_that_are_checked_together(posthouse: Command) -> None:
    for name in ("a.example", "b.example"):
        posthouse("domain", "add", name, "--no-ed25519")
    said = posthouse("domain", "check", status=1).stdout
    assert [line for line in said.splitlines() if line[:1].strip()] == ["a.example", "b.example"]


def test_a_rotation_is_one_command(posthouse: Command) -> None:
    posthouse("domain", "add", "x.example", "--no-ed25519", "--onboarding", "trusted")
    shown = posthouse("domain", "keys", "rotate", "x.example").stdout
    listed = json.loads(posthouse("domain", "keys", "list", "x.example", "--json").stdout)
    assert ["active", "published"] == sorted(key["state"] for key in listed["keys"])
    (new,) = listed["rotation"]["selectors"]
    assert f"{new}._domainkey.x.example. IN TXT" in shown
    said = posthouse("domain", "keys", "list", "x.example").stdout
    assert f"for {new} in DNS: DNS was not asked yet" in said
    again = posthouse("domain", "keys", "rotate", "x.example", status=1).stderr
    assert "a rotation of x.example is under way" in again

    # It is given up by removing its key.
    (old,) = (key["selector"] for key in listed["keys"] if key["state"] == "active")
    assert "signs; retire it first" in (
        posthouse("domain", "keys", "remove", "x.example", old, status=1).stderr
    )
    assert "has no key 's9'" in (
        posthouse("domain", "keys", "remove", "x.example", "s9", status=1).stderr
    )
    posthouse("domain", "keys", "remove", "x.example", new)
    listed = json.loads(posthouse("domain", "keys", "list", "x.example", "--json").stdout)
    assert (listed["rotation"], len(listed["keys"])) == (None, 1)
    assert "keys removed" in posthouse("audit").stdout

    posthouse("domain", "keys", "schedule", "x.example", "--days", "180")
    assert "every 180 days" in posthouse("domain", "keys", "list", "x.example").stdout
    posthouse("domain", "keys", "schedule", "x.example", "--off")
    assert "every" not in posthouse("domain", "keys", "list", "x.example").stdout
    assert "either --days" in posthouse("domain", "keys", "schedule", "x.example", status=2).stderr


ONBOARD = ("account", "onboard", "Acme", "--source", "192.0.2.7,198.51.100.0/24")
_FINE = ("--domain", "a.example", "--bounce-address", "b@example.org")
OURS = {"POSTHOUSE_ZONE_NAMESERVERS": "ns1.op.example"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ("--domain", "news.example.com", "--bounce-address", "b@news.example.com"),
            "b@news.example.com cannot be the bounce address: news.example.com is the sending",
        ),
        (
            ("--domain", "news.example.com", "--bounce-address", "b@x.news.example.com"),
            "cannot be the bounce address",
        ),
        (("--domain", "localhost", "--bounce-address", "b@example.org"), "is not a domain"),
        (
            ("--domain", "taken.example", "--bounce-address", "b@example.org"),
            "has the domain taken",
        ),
        (("--domain", "a.example", "--bounce-address", "b"), "'b' is not a mail address"),
        (
            (*_FINE, "--profile", "critsend", "--mailing", "news"),
            "the preset critsend has no header that names a mailing",
        ),
    ],
)
def test_E04_a_client_that_cannot_be_is_not_made_at_all(
    posthouse: Command, options: tuple[str, ...], complaint: str
) -> None:
    posthouse("domain", "add", "taken.example")
    assert complaint in posthouse(*ONBOARD, *options, status=1, **OURS).stderr
    assert ["default"] == [
        a["name"] for a in json.loads(posthouse("account", "list", "--json").stdout)
    ]
    assert [] == json.loads(posthouse("credential", "list", "--json").stdout)


def test_U12_the_user_of_a_new_client_may_ask_as_high_as_the_preset_says(
    posthouse: Command,
) -> None:
    for number, preset in enumerate(("episerver", "mailup")):
        facts = ("--domain", f"n{number}.example.com", "--bounce-address", "b@example.org")
        source = ("--source", "192.0.2.7", "--profile", preset, "--onboarding", "trusted")
        posthouse("account", "onboard", preset, *source, *facts)
    users = json.loads(posthouse("credential", "list", "--json").stdout)
    highest = {user["account"]: user["highest_lane"] for user in users}
    assert highest == {"episerver": "high", "mailup": "very-high"}


def test_a_check_of_a_domain_that_is_not_there_asks_nothing_of_the_others(
    posthouse: Command,
) -> None:
    posthouse("domain", "add", "x.example", "--no-ed25519")
    with dns_in_thread(NameServer({})) as server:
        there = {"POSTHOUSE_NAMESERVERS": server.address}
        said = posthouse("domain", "check", "x.example", "y.example", status=1, **there)
    assert "no account has the domain y.example" in said.stderr
    assert [] == server.questions


def test_what_is_verified_removed_or_retired_is_in_the_audit(posthouse: Command) -> None:
    posthouse("domain", "add", "x.example", "--no-ed25519")
    for _ in range(2):  # the second one changes nothing
        posthouse("domain", "verify", "x.example")
    posthouse("domain", "share", "x.example", "--account", "other")
    posthouse("domain", "keys", "add", "x.example", "--algorithm", "ed25519")
    keys = json.loads(posthouse("domain", "keys", "list", "x.example", "--json").stdout)["keys"]
    old, new = (
        next(k["selector"] for k in keys if k["state"] == s) for s in ("active", "published")
    )
    early = posthouse("domain", "keys", "retire", "x.example", new, status=1).stderr
    assert f"has not signed yet: `posthouse domain keys remove x.example {new}`" in early
    posthouse("domain", "keys", "activate", "x.example", new)
    posthouse("domain", "keys", "retire", "x.example", old)
    posthouse("stream", "create", "news")
    posthouse("stream", "delete", "news")
    posthouse("account", "sender", "set", "a@x.example", "--open-tracking", "on")
    posthouse("account", "sender", "delete", "a@x.example")
    lines = json.loads(posthouse("audit", "--json").stdout)
    assert [(line["action"], line["account"], line["detail"]) for line in reversed(lines)] == [
        (
            "domain add",
            "default",
            {"domain": "x.example", "verified": False, "onboarding": "records"},
        ),
        ("domain verify", "default", {"domain": "x.example", "by": "word"}),
        ("domain share", "other", {"domain": "x.example"}),
        ("key active", None, {"domain": "x.example", "keys": new}),
        ("key retired", None, {"domain": "x.example", "keys": old}),
        ("stream delete", "default", {"stream": "news"}),
        ("sender delete", "default", {"address": "a@x.example"}),
    ]


def test_E06a_four_facts_go_in_and_three_come_out(posthouse: Command) -> None:
    facts = ("--domain", "news.example.com", "--bounce-address", "b@example.org")
    said = posthouse(*ONBOARD, *facts, **OURS).stdout
    assert said.startswith("server    relay.example\nusername  ph-")
    assert "header    X-bm-mailing: " in said
    assert "news.example.com. IN NS ns1.op.example." in said
    assert "$ORIGIN news.example.com." in said
    listed = json.loads(posthouse("profile", "list", "--json").stdout)
    (profile,) = (one for one in listed if one["name"] == "client")
    networks = {"session.allowed_networks": ["192.0.2.7/32", "198.51.100.0/24"]}
    assert ("Acme", "episerver", networks) == (
        profile["account"],
        profile["preset"],
        profile["knobs"],
    )
    assert "bounce address: b@example.org" in posthouse("account", "set", "Acme").stdout
    assert "account onboard" in posthouse("audit").stdout
    again = posthouse(*ONBOARD, *facts, status=1, **OURS).stderr
    assert "there is an account called 'Acme' already" in again
    unnamed = posthouse(*ONBOARD, *facts, "--mailing", " ", status=2, **OURS).stderr
    assert "' ' is not a name: 1 to 100 printable characters" in unnamed
    wrong = posthouse("account", "onboard", "B", "--source", "here", *facts, status=2).stderr
    assert "'here' does not appear to be an IPv4 or IPv6 network" in wrong
