"""A domain is looked up as receivers do: over a real name server, with all that may be wrong."""

from asyncio import get_running_loop
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic

import pytest

from posthouse.dns.domain_check import DomainCheck
from posthouse.dns.resolver import DnsClient, UntilDeadline
from posthouse.domains.findings import Finding, FindingState
from posthouse.domains.setup_records import (
    DomainSetup,
    PublishedKey,
    RecordPurpose,
    RelayHosts,
    records_for,
)
from posthouse.mail.dkim_key import zone_text
from posthouse.mail.selectors import slots
from posthouse.profiles.choices import Onboarding
from servers.dns_stub import dns_stub
from servers.name_server import NameServer

TEXT = "v=DKIM1; k=rsa; p=" + "AbCd" * 98
KEY = PublishedKey("ph1-rsa", "rsa-sha256", TEXT, "active")
KEY_NAME = "ph1-rsa._domainkey.x.example"
RELAY = RelayHosts("relay.example", "relay.example", "relay.example")
SETUP = DomainSetup("x.example", Onboarding.RECORDS, (KEY,), (), None, "back.x.example", RELAY)
Table = dict[tuple[str, str], tuple[str, ...]]


def txt(*texts: str) -> tuple[str, ...]:
    return tuple(map(zone_text, texts))


def published(setup: DomainSetup = SETUP) -> Table:
    """What the owner publishes who does as he is told."""
    zone: Table = {
        ("relay.example", "A"): ("192.0.2.1",),
        ("relay.example", "AAAA"): ("2001:db8::1",),
    }
    for record in records_for(setup):
        zone[record.name, record.type] = (
            txt(record.value) if record.type == "TXT" else (record.value,)
        )
    return zone


@asynccontextmanager
async def checking(zone: Table, **changes: object) -> AsyncIterator[DomainCheck]:
    async with dns_stub(NameServer(zone, **changes)) as server:  # type: ignore[arg-type]  # by name
        yield DomainCheck(DnsClient((server.address,), timeout=0.5))


async def findings(
    zone: Mapping[tuple[str, str], tuple[str, ...] | None],
    setup: DomainSetup = SETUP,
    **changes: object,
) -> dict[tuple[RecordPurpose, str], Finding]:
    """What is found where *zone* differs from what should be published; None removes a record."""
    whole = {name: one for name, one in {**published(setup), **zone}.items() if one is not None}
    async with checking(whole, **changes) as check:
        return {(f.purpose, f.type): f for f in await check.findings(setup)}


async def test_T26_a_domain_whose_owner_did_as_told_is_all_right() -> None:
    found = await findings({})
    assert {f.state for f in found.values()} == {FindingState.RIGHT}
    assert {f.mend for f in found.values()} == {""}
    assert found[RecordPurpose.DKIM, "TXT"].seen == (TEXT,)


SPF = (RecordPurpose.SPF, "TXT")
PERMITS = "include:a.example include:b.example "


@pytest.mark.parametrize(
    ("records", "mend"),
    [
        (None, "there is no SPF record: publish it"),
        (("v=spf1 a:relay.example -all", "v=spf1 mx -all"), "x.example has 2 SPF records"),
        (("v=spf1 mx -all",), "mail from 192.0.2.1 gets fail"),
        (("v=spf1 ip4:192.0.2.1 -all",), "mail from 2001:db8::1 gets fail"),
        (("v=spf1 -all a:relay.example",), "mail from 192.0.2.1 gets fail"),
        (("v=spf1 a:relay.example ipv4:192.0.2.9 -all",), "receivers do not know such a mechanism"),
        (("v=spf1 a:relay.example ip4:192.0.2 -all",), "'192.0.2' is no IPv4 address"),
        (("v=spf1 a:relay.example/99 -all",), "/99 is no length of a prefix"),
        (("v=spf1 include:loop.example -all",), "a loop: x.example -> loop.example -> x.example"),
        (("v=spf1 a:relay.example include:none.example -all",), "none.example has no SPF record"),
        (
            ("v=spf1 a:relay.example a:v1.example a:v2.example mx:v3.example ~all",),
            "3 of its look-ups find nothing and receivers stop at 2",
        ),
        (
            ("v=spf1 a:relay.example " + " ".join(f"a:h{n}.example" for n in range(10)) + " ~all",),
            "it asks for 11 look-ups and receivers stop at 10",
        ),
        (
            ("v=spf1 a:relay.example include:deep.example mx ~all",),
            "it asks for 12 look-ups and receivers stop at 10",
        ),
        (("v=spf1 a:relay.example mx:many.example -all",), "many.example has 11 MX records"),
        (('\\"v=spf1 a:relay.example -all\\"',), "the record contains quotes"),
        ((" v=spf1 a:relay.example -all",), "does not begin with 'v=spf1'"),
        (("v=spf1 +all",), "+all permits every host"),
    ],
)
async def test_C19_what_is_wrong_with_spf_is_said(
    records: tuple[str, ...] | None, mend: str
) -> None:
    others: Table = {
        ("loop.example", "TXT"): txt("v=spf1 include:x.example -all"),
        ("deep.example", "TXT"): txt("v=spf1 " + " ".join(f"a:h{n}.example" for n in range(9))),
        ("none.example", "TXT"): txt("nothing of SPF"),
        ("many.example", "MX"): tuple(f"10 h{n}.example." for n in range(11)),
        ("x.example", "MX"): ("10 h0.example.",),
        **{(f"h{n}.example", "A"): ("192.0.2.7",) for n in range(11)},
    }
    texts = None if records is None else tuple(f'"{text}"' for text in records)
    found = (await findings({**others, ("x.example", "TXT"): texts}))[SPF]
    assert mend in found.mend
    assert found.state is (FindingState.ADVICE if "+all" in mend else FindingState.WRONG)
    (one,) = (text for text in [found.expected] if text.count("v=spf1") == 1)
    assert "a:relay.example" in one


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 include:spf.relay.example ~all",
        "v=spf1 redirect=spf.relay.example",
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all",
        "v=spf1 a:relay.example/24//32 -all",
        "v=spf1 exists:%{i}.x.example a:relay.example -all",
        "V=SPF1 MX:RELAY.EXAMPLE A:relay.example. -ALL",
    ],
)
async def test_records_that_permit_our_hosts_in_other_words_are_right(record: str) -> None:
    others = {
        ("spf.relay.example", "TXT"): txt("v=spf1 a:relay.example -all"),
        ("relay.example", "MX"): ("10 relay.example.",),
        ("x.example", "TXT"): txt("other=1", record),
    }
    found = (await findings(others))[SPF]
    assert (found.state, found.mend) == (FindingState.RIGHT, "")


async def test_text_in_several_strings_is_one_text() -> None:
    found = await findings({("x.example", "TXT"): ('"v=spf1 a:rel" "ay.example" " -all"',)})
    assert found[SPF].state is FindingState.RIGHT


DKIM = (RecordPurpose.DKIM, "TXT")


@pytest.mark.parametrize(
    ("records", "mend"),
    [
        (None, "there is no TXT record: publish it"),
        ((f'"{TEXT[:255]}"', f'"{TEXT[255:]}"'), "the text was split into 2 records"),
        ((*txt(TEXT), '"v=DKIM1; p="'), "there are 2 TXT records, and receivers take any of them"),
        ((f'"{TEXT[:255]}"',), "the text is cut off after 255 characters"),
        (('"v=DKIM1; k=rsa; p=OtherKey"',), "it is another key"),
        (('"v=DKIM1; p="',), "the key is revoked"),
        (('"something else"',), "the record has no key"),
        (txt(TEXT.replace("; k", "\\\\; k")), "the record contains backslashes"),
        ((f'"\\"{TEXT[:200]}" "{TEXT[200:]}\\""',), "the record contains quotes"),
        (txt(TEXT.replace("k=rsa", "k=ed25519")), "the type of the key is 'ed25519', not 'rsa'"),
        (txt(TEXT.replace("; k", "; h=sha1; k")), "h=sha1 excludes sha256"),
        (txt(TEXT.replace("; k", "; s=tlsrpt; k")), "s=tlsrpt excludes mail"),
        (txt(TEXT.replace("v=DKIM1; ", "") + "; v=DKIM1"), "v=DKIM1 comes first"),
    ],
)
async def test_T26_what_is_wrong_with_a_key_is_said(
    records: tuple[str, ...] | None, mend: str
) -> None:
    found = (await findings({(KEY_NAME, "TXT"): records}))[DKIM]
    assert mend in found.mend
    assert (found.state, found.expected) == (FindingState.WRONG, TEXT)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("v=DKIM1; ", ""),
        TEXT.replace("k=rsa; ", "") + ";",
        f"{TEXT[:100]} {TEXT[100:]}",
        TEXT.replace("; ", ";") + "; t=s; n=note",
    ],
)
async def test_the_same_key_in_other_words_is_right(text: str) -> None:
    assert (await findings({(KEY_NAME, "TXT"): txt(text)}))[DKIM].state is FindingState.RIGHT


async def test_a_name_that_a_form_has_doubled_is_found() -> None:
    doubled = {(KEY_NAME, "TXT"): None, (f"{KEY_NAME}.x.example", "TXT"): txt(TEXT)}
    found = (await findings(doubled))[DKIM]
    assert "enter ph1-rsa._domainkey as the name" in found.mend


async def test_keys_that_do_not_sign_are_advice_only() -> None:
    keys = (
        KEY,
        replace(KEY, selector="s2", state="published"),
        replace(KEY, selector="s3", state="retired"),
    )
    setup = replace(SETUP, keys=keys)
    zone = {(f"{s}._domainkey.x.example", "TXT"): None for s in ("s2", "s3")}
    async with checking({k: v for k, v in {**published(setup), **zone}.items() if v}) as check:
        found = [f for f in await check.findings(setup) if f.purpose is RecordPurpose.DKIM]
    advice = FindingState.ADVICE
    assert [FindingState.RIGHT, advice, advice] == [f.state for f in found]
    assert "it does not sign yet" in found[1].mend
    assert "mail that it signed may still be on its way" in found[2].mend


CNAMES = replace(SETUP, key_zone="dkim.relay.example", slots=slots("rsa-sha256"))
TARGET = "ph1-rsa.x.example.dkim.relay.example"


async def test_T26_keys_by_cname_are_followed_into_our_zone() -> None:
    async with checking({**published(CNAMES), (TARGET, "TXT"): txt(TEXT)}) as check:
        found = [f for f in await check.findings(CNAMES) if f.purpose is RecordPurpose.DKIM]
    assert [("CNAME", FindingState.RIGHT)] * 2 + [("TXT", FindingState.RIGHT)] == [
        (f.type, f.state) for f in found
    ]


@pytest.mark.parametrize(
    ("changes", "kind", "mend"),
    [
        ({(KEY_NAME, "CNAME"): None}, "CNAME", "there is no CNAME record: publish it"),
        ({(KEY_NAME, "CNAME"): ("x.other.example.",)}, "CNAME", "it leads elsewhere: change it"),
        (
            {(KEY_NAME, "CNAME"): None, (KEY_NAME, "TXT"): txt(TEXT)},
            "CNAME",
            "a new key would not be seen: publish CNAME in its place",
        ),
        (
            {(TARGET, "TXT"): None},
            "TXT",
            f"in your zone dkim.relay.example, at {TARGET}: there is no",
        ),
    ],
)
async def test_what_is_wrong_with_keys_by_cname_is_said(
    changes: Mapping[tuple[str, str], tuple[str, ...] | None], kind: str, mend: str
) -> None:
    zone = {**published(CNAMES), (TARGET, "TXT"): txt(TEXT), **changes}
    async with checking({k: v for k, v in zone.items() if v is not None}) as check:
        (found,) = (f for f in await check.findings(CNAMES) if f.state is FindingState.WRONG)
    assert (found.type, mend in found.mend) == (kind, True), found


@pytest.mark.parametrize(
    ("records", "state", "mend"),
    [
        (None, FindingState.WRONG, "returned mail is lost"),
        (("10 mx.other.example.",), FindingState.WRONG, "returned mail goes elsewhere"),
        (("10 relay.example.", "20 mx.other.example."), FindingState.ADVICE, "mx.other.example"),
        (("5 Relay.Example.",), FindingState.RIGHT, ""),
    ],
)
async def test_C16_returned_mail_has_to_come_back(
    records: tuple[str, ...] | None, state: FindingState, mend: str
) -> None:
    found = (await findings({("back.x.example", "MX"): records}))[RecordPurpose.RETURN_PATH, "MX"]
    assert (state, mend in found.mend) == (found.state, True)


async def test_C16_the_envelope_sender_of_the_domain_passes_spf() -> None:
    wrong = {("back.x.example", "TXT"): txt("v=spf1 mx -all")}
    assert (await findings({}))[RecordPurpose.RETURN_PATH, "TXT"].state is FindingState.RIGHT
    found = await findings({**wrong, ("back.x.example", "MX"): ("10 h.example.",)})
    assert "mail from 192.0.2.1 gets fail" in found[RecordPurpose.RETURN_PATH, "TXT"].mend


async def test_a_domain_without_a_host_of_its_own_relies_on_that_of_the_relay() -> None:
    setup = replace(SETUP, return_path_host=None)
    assert (await findings({}, setup))[RecordPurpose.RETURN_PATH, "MX"].state is FindingState.RIGHT
    gone = {("relay.example", "A"): None, ("relay.example", "AAAA"): None}
    found = await findings(gone, setup)
    assert "returned mail is lost" in found[RecordPurpose.RETURN_PATH, "MX"].mend
    assert "the relay's own name does not exist" in found[RecordPurpose.RELAY, "A"].mend


@pytest.mark.parametrize(
    ("zone", "state", "mend"),
    [
        ({}, FindingState.ADVICE, "publish it"),
        (
            {"_dmarc.x.example": ("v=DMARC1; p=reject; rua=mailto:a@x.example",)},
            FindingState.RIGHT,
            "",
        ),
        (
            {"_dmarc.x.example": ("v=DMARC1; p=none", "v=DMARC1; p=reject")},
            FindingState.WRONG,
            "leave one",
        ),
        ({"_dmarc.x.example": ("v=DMARC1; p=all",)}, FindingState.WRONG, "p=all is no policy"),
        (
            {"_dmarc.x.example": ("v=DMARC1; p=none; aspf=s",)},
            FindingState.ADVICE,
            "SPF does not align",
        ),
    ],
)
async def test_dmarc_is_advice_unless_it_is_broken(
    zone: Mapping[str, tuple[str, ...]], state: FindingState, mend: str
) -> None:
    changed = {(name, "TXT"): txt(*texts) for name, texts in zone.items()}
    found = await findings({("_dmarc.x.example", "TXT"): None, **changed})
    dmarc = found[RecordPurpose.DMARC, "TXT"]
    assert (state, mend in dmarc.mend) == (dmarc.state, True)


async def test_the_policy_of_the_domain_above_counts() -> None:
    setup = replace(SETUP, name="news.x.example", return_path_host=None)
    above = {
        ("_dmarc.news.x.example", "TXT"): None,
        ("_dmarc.x.example", "TXT"): txt("v=DMARC1; p=none"),
    }
    dmarc = (await findings(above, setup))[RecordPurpose.DMARC, "TXT"]
    assert (dmarc.name, dmarc.state) == ("_dmarc.x.example", FindingState.RIGHT)


@pytest.mark.parametrize("fault", ["servfail", "silent"])
async def test_a_dns_that_gives_no_answer_is_neither_right_nor_wrong(fault: str) -> None:
    names = frozenset({KEY_NAME, "x.example", "back.x.example"})
    found = await findings({}, SETUP, **{fault: names})
    assert {f.state for f in found.values() if f.name in names} == {FindingState.UNKNOWN}
    assert all("DNS gave no answer" in f.mend for f in found.values() if f.name in names)


async def test_a_record_that_leads_to_slow_servers_does_not_hold_the_check_up() -> None:
    slow = [f"slow{n}.example" for n in range(8)]
    record = f"v=spf1 {' '.join(f'include:{name}' for name in slow)} a:relay.example ~all"
    whole = {**published(SETUP), ("x.example", "TXT"): txt(record)}
    began = monotonic()
    async with checking(whole, silent=frozenset(slow)) as asking:
        check = replace(asking, dns=UntilDeadline(asking.dns, get_running_loop().time() + 0.8))
        found = {(f.purpose, f.type): f for f in await check.findings(SETUP)}
    assert monotonic() - began < 2
    assert found[SPF].state is FindingState.UNKNOWN
    assert found[DKIM].state is FindingState.RIGHT


async def test_a_domain_without_an_active_key_is_wrong() -> None:
    found = await findings({}, replace(SETUP, keys=(replace(KEY, state="published"),)))
    assert "no key signs" in found[DKIM].mend
