"""The door's pure decisions, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core import lane, replies
from ingest.core.commands import read_mail, read_rcpt, read_response
from ingest.core.network import client_address, network_of
from ingest.core.room import least_free
from ingest.core.sender import check_author, check_sender
from ingest.core.trouble import StoreTrouble
from posthouse.mail.address import Address
from posthouse.mail.lane import Lane
from posthouse.mail.reply import Reply


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, None),
        ({b"x-priority": "1"}, Lane.VERY_HIGH),
        ({b"x-priority": "2 (High)"}, Lane.HIGH),
        ({b"x-priority": "5"}, Lane.BULK),
        ({b"x-priority": "10"}, None),
        ({b"x-priority": "0"}, None),
        ({b"x-priority": "soon", b"importance": "high"}, Lane.HIGH),
        ({b"x-priority": "4", b"importance": "high"}, Lane.LOW),
        ({b"importance": "Low", b"priority": "urgent"}, Lane.LOW),
        ({b"priority": "URGENT"}, Lane.HIGH),
        ({b"priority": "non-urgent"}, Lane.LOW),
        ({b"x-msmail-priority": "Normal"}, Lane.NORMAL),
        ({b"x-msmail-priority": "High", b"priority": "normal"}, Lane.NORMAL),
    ],
)
def test_U10_what_a_message_asks_for(  # noqa: N802
    values: dict[bytes, str], asked: Lane | None
) -> None:
    assert asked == lane.requested(values)


@pytest.mark.parametrize(
    ("asked", "default", "highest", "chosen"),
    [
        (None, 3, 1, 3),
        (1, 3, 1, 1),
        (5, 3, 1, 3),  # a message cannot lower its credential's default
        (1, 3, 2, 2),
        (1, 5, 5, 5),
        (None, 1, 3, 3),
    ],
)
def test_U08_the_higher_one_counts_but_not_above_the_cap(  # noqa: N802
    asked: int | None, default: int, highest: int, chosen: int
) -> None:
    wanted = None if asked is None else Lane(asked)
    assert Lane(chosen) is lane.choose(wanted, Lane(default), Lane(highest))


def test_U13_domains_match_exactly_in_either_spelling() -> None:  # noqa: N802
    def allowed(text: str, *domains: str) -> bool:
        return check_sender(Address.parse(text), frozenset(domains)) is None

    assert allowed("jo@a.example", "a.example", "b.example")
    assert allowed("jo@bücher.example", "bücher.example")
    assert allowed("jo@bücher.example", "xn--bcher-kva.example")
    assert not allowed("jo@sub.a.example", "a.example")
    assert not allowed("jo@a.example", "sub.a.example")
    assert not allowed("jo@a.example")


def test_a_refused_sender_hears_what_was_seen_and_what_is_allowed() -> None:
    jo = Address.parse("jo@x.example")

    def text(count: int) -> str:
        refusal = check_sender(jo, {f"d{i}.example" for i in range(count)})
        assert refusal is not None
        return refusal.reply.text.removeprefix(
            "Sender domain x.example is not one of this account's verified domains: "
        )

    assert text(0) == "it has none"
    assert text(2) == "d0.example, d1.example"
    assert text(10).endswith("d7.example and 2 more")


def test_every_author_has_to_be_at_a_verified_domain() -> None:
    assert check_author(["jo@a.example, al@b.example"], {"a.example", "b.example"}) is None
    refusal = check_author(["jo@a.example, al@b.example"], {"a.example"})
    assert refusal is not None
    assert refusal.reply.text.startswith("From domain b.example is not one of")


@pytest.mark.parametrize(
    "argument",
    [
        "FROM:<jo@a.example> SIZE=1 SIZE=1",
        "FROM:<jo@a.example> SIZE=",
        "FROM:<jo@a.example> SIZE",
        "FROM:<jo@a.example> SIZE=-1",
        "FROM:<jo@a.example> SIZE=\u0661",
        "FROM:<jo@a.example> SIZE=123456789012345678901",
        "FROM:<jo@a.example> BODY=BINARYMIME",
        "FROM:<jo@a.example> SMTPUTF8=yes",
        "FROM:<jo@a.example>SIZE=1",
    ],
)
def test_bad_parameters(argument: str) -> None:
    reply = read_mail(argument)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.enhanced) == (501, "5.5.4")


@given(st.text())
def test_no_argument_breaks_the_reading_of_it(text: str) -> None:
    for argument in (text, f"FROM:{text}", f"FROM:<{text}>", f"TO:<{text}> {text}"):
        read_mail(argument)
        read_rcpt(argument, smtputf8=True)
    read_response(text)


def test_replies_go_out_as_ascii_lines() -> None:
    assert replies.wire(Reply(250, "Ok", "2.0.0")) == b"250 2.0.0 Ok\r\n"
    assert replies.wire(Reply(250, "one\ntwo", "2.0.0")) == b"250-2.0.0 one\r\n250 2.0.0 two\r\n"
    assert replies.wire(Reply(354, "Go on")) == b"354 Go on\r\n"
    assert replies.wire(Reply(550, "ü", "5.0.0")) == b"550 5.0.0 \\xfc\r\n"


@pytest.mark.parametrize(
    ("host", "client", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1", "2001:0db8:0000:0000"),
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1", "2001:0db8:0000:0000"),
        ("fe80::1%eth0", "fe80::1", "fe80:0000:0000:0000"),
    ],
)
def test_who_is_one_client(host: str, client: str, network: str) -> None:
    assert client_address(host) == client
    assert network_of(client) == network


def test_trouble_with_the_store_is_remembered_for_a_second() -> None:
    trouble = StoreTrouble()
    assert trouble.reply(100.0) is None
    trouble.failed(replies.FAULT, 100.0)
    assert [replies.FAULT, None] == [trouble.reply(100.9), trouble.reply(101.0)]
    trouble.failed(replies.FULL, 101.0)
    trouble.over()
    assert trouble.reply(101.0) is None


@pytest.mark.parametrize(("limit", "least"), [(26_214_400, 89_653_248), (1024, 50_333_184)])
def test_room_for_the_log_and_for_one_message_is_kept_free(limit: int, least: int) -> None:
    """Three segments of 16 MiB, and the largest message one and a half times."""
    assert least == least_free(limit)
