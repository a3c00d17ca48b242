"""The parser against what strangers may send: bounded, and never raising."""

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from bounces.core.reports.mime import SCANNED, leaves
from bounces.core.reports.reading import read
from bounces.core.reports.report import Report, ReportKind
from bounces.core.verdict import decide
from fuzz.damage import damaged
from servers.returned_mail import OURS, REPORTS

GROUP = b"\nFinal-Recipient: rfc822; a%d@dest.example\nAction: failed\nStatus: 5.1.1\n"

PIECES = [
    b"Content-Type: multipart/report; boundary=b",
    b'Content-Type: multipart/mixed; boundary="b\\""',
    b"Content-Type: message/delivery-status",
    b"Content-Type: message/delivery-status; charset*0*=utf-8''%ff",
    b"Content-Type: text/plain; charset=iso-2022-jp",
    b"Content-Type: text/plain; charset=gb18030",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Subject: =?utf-8?b?/w=?= =?x?q?a?= =?iso-8859-1?b?a?=",
    b"Subject: =?idna?b?eG4t?= Undelivered",
    b"Auto-Submitted: auto-replied",
    b"From: MAILER-DAEMON",
    b"Final-Recipient: rfc822; ann@dest.example",
    b"Original-Recipient: ;;;<>",
    b"Action: failed",
    b"Action: FAILED (not)",
    b"Status: 5.1.1",
    b"Status: 5.999999.1",
    b"Diagnostic-Code: smtp; 550 \x00\xff\xfe 5.1.1",
    b"=ED=A0=80 =00",
    b"\x1b$B\x1b(B\x81\x30\x81\x30",
    b"--b",
    b"--b--",
    b"",
    b"\x00",
    b" folded",
]

line = st.one_of(st.sampled_from(PIECES), st.binary(max_size=40))
end = st.sampled_from([b"\n", b"\r\n", b"\r", b""])
mail = st.lists(st.tuples(line, end)).map(lambda lines: b"".join(b"".join(pair) for pair in lines))


def assert_storable(report: Report) -> None:
    """Nothing in *report* is refused by a UTF-8 database, which knows no NUL."""
    text = json.dumps(asdict(report), ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")


@settings(max_examples=200)
@given(mail)
def test_no_message_raises(content: bytes) -> None:
    report = read(content)
    decide(report, OURS)
    assert_storable(report)


@settings(max_examples=200)
@given(st.sampled_from(REPORTS), st.integers(0), st.integers(0, 12), st.binary(max_size=12))
def test_no_damaged_report_raises(path: Path, at: int, removed: int, instead: bytes) -> None:
    content = path.read_bytes()
    at %= len(content)
    report = read(content[:at] + instead + content[at + removed :])
    decide(report, OURS)
    assert_storable(report)


def test_a_thousand_messages_damaged_in_every_way_raise_nothing() -> None:
    """The short form of `make fuzz`."""
    random = Random(7)  # noqa: S311 - damage, no secret
    whole = [path.read_bytes() for path in REPORTS]
    for _ in range(1000):
        report = read(damaged(random, whole))
        decide(report, OURS)
        assert_storable(report)


def nested(depth: int) -> bytes:
    heads = (
        b'Content-Type: multipart/mixed; boundary="%d."\n\n--%d.\n' % (level, level)
        for level in range(depth)
    )
    return b"".join(heads) + b"Content-Type: message/delivery-status\n\n\n" + GROUP % 0


def test_nesting_is_followed_to_fifty_levels_and_no_deeper() -> None:
    assert ReportKind.DSN is read(nested(50)).kind
    assert ReportKind.UNRECOGNISED is read(nested(51)).kind
    assert ReportKind.UNRECOGNISED is read(nested(20_000)).kind


def test_a_thousand_recipients_are_read_and_no_more() -> None:
    head = b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.dest.example\n"
    report = read(head + b"".join(GROUP % number for number in range(10_000)))
    assert len(report.recipients) == 1000
    assert report.reporting_mta == "mx.dest.example"


def test_what_lies_beyond_the_first_megabyte_is_not_looked_at() -> None:
    head = b"Content-Type: multipart/report; boundary=b\n\n--b\n\n"
    status = b"\n--b\nContent-Type: message/delivery-status\n\n\n" + GROUP % 0
    assert ReportKind.DSN is read(head + b"x\n" * 1000 + status).kind
    assert ReportKind.UNRECOGNISED is read(head + b"x" * SCANNED + status).kind


def test_a_million_boundaries_are_a_few_parts() -> None:
    content = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * (SCANNED // 4)
    assert len(list(leaves(content))) <= 200


def test_one_field_of_a_megabyte_is_kept_short() -> None:
    report = read(b"From: mailer-daemon\nSubject: undelivered " + b"x" * SCANNED)
    assert len(report.subject) <= 2000


def test_a_boundary_that_begins_like_another_is_another() -> None:
    content = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--bee\nno part\n"
        b"--b \nContent-Type: text/html\n\n1\n--b\n\n2\n--b--\nnothing\n--b\n\n3\n"
    )
    parts = list(leaves(content))
    assert [part.body for part in parts] == [b"1", b"2"]
    assert [part.media_type for part in parts] == ["text/html", "text/plain"]


def test_a_body_that_does_not_decode_is_taken_as_it_is() -> None:
    content = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nxyzz1"
    (part,) = leaves(content)
    assert part.decoded(1000) == b"xyzz1"


def test_an_encoded_word_that_does_not_decode_is_shown_as_far_as_it_goes() -> None:
    assert read(b"Subject: =?utf-8?b?a?= =?x-none?q?b?= =?utf-8?c?c?=\n\n").subject == (
        "ab=?utf-8?c?c?="
    )
