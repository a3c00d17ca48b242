"""Each field of SendGrid's POST /v3/mail/send, as the table of docs/sendgrid-api.md has it."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.mime_maker import Making, made
from ingest.core.new_message import WrongValue
from ingest.core.sendgrid_body import MailSendBody, OffBody
from ingest.core.sendgrid_mail import MailSend
from ingest.core.sendgrid_refused import REFUSED, REFUSED_OF_ONE, REFUSED_SETTINGS
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from servers.http_door import HttpWireClient, RunningHttp

PAGE = Path(__file__).parents[2] / "docs/sendgrid-api.md"
PATH = "/v3/mail/send"
SEND_AT = int(time.time()) + 10 * 86_400
ONE = {"to": [{"email": "x@there.example"}]}
MAIL: dict[str, Any] = {
    "personalizations": [ONE],
    "from": {"email": "jo@a.example"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hi there\n"}],
}
HTML = {"type": "text/html", "value": "<p>Hi -name-"}
FILE = {"content": "YWJj", "filename": "a.bin"}


def table() -> dict[str, str]:
    """What becomes of each field."""
    text = PAGE.read_text().partition("<!-- table: begin -->")[2].partition("<!-- table: end")[0]
    found: dict[str, str] = {}
    for line in text.strip().splitlines()[2:]:
        names, status, _ = (cell.strip() for cell in line.split("|")[1:-1])
        field = ""
        for name in re.findall(r"`([^`]+)`", names):
            field = field.rpartition(".")[0] + name if name.startswith(".") else name
            assert field not in found
            found[field] = status
    return found


TABLE = table()


def fields(kind: Any, before: str = "") -> Iterator[str]:
    """The paths of all that a struct holds, but for settings that have to be off."""
    for field in msgspec.structs.fields(kind):
        path = f"{before}{field.encode_name}"
        yield path
        for part in parts(field.type):
            yield from fields(part, f"{path}.")


def parts(kind: Any) -> Iterator[Any]:
    """The structs in a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not OffBody:
        yield kind
    for each in get_args(kind):
        yield from parts(each)


def is_of_address(path: str) -> bool:
    """One row speaks of all of them."""
    return path.endswith((".email", ".name")) and path.rpartition(".")[0] != "personalizations.to"


def test_the_table_has_each_field_that_is_read_or_refused() -> None:
    read = {path for path in fields(MailSendBody) if not is_of_address(path)}
    read -= {path for path in read if path.endswith(".enable")}
    read -= {"mail_settings", "tracking_settings"}  # all that they hold has a row
    refused = {*REFUSED, *(f"personalizations.{name}" for name in REFUSED_OF_ONE)}
    assert read | refused == TABLE.keys()
    settings = {f"{group}.{n}" for group, names in REFUSED_SETTINGS.items() for n in names}
    assert refused | settings == {
        field
        for field, status in TABLE.items()
        if status == "refused" and "substitution_tag" not in field
    }
    assert {"honoured", "refused", "no effect"} == set(TABLE.values())


def with_field(field: str, value: Any) -> dict[str, Any]:
    """A request that has *value* at *field*."""
    mail: dict[str, Any] = {**MAIL, "personalizations": [{**ONE}]}
    *groups, name = field.split(".")
    here = mail
    for group in groups:
        found = here.setdefault(group, {})
        here = found[0] if isinstance(found, list) else found
    here[name] = value
    return mail


@pytest.mark.parametrize("field", [name for name, status in TABLE.items() if status == "refused"])
async def test_what_is_refused_is_named(
    http: HttpWireClient, http_door: RunningHttp, field: str
) -> None:
    setting = field.startswith(("mail_settings", "tracking_settings"))
    mail = with_field(field, {"enable": True} if setting else "x")
    if field.endswith("substitution_tag"):
        mail = with_field(
            "tracking_settings.open_tracking", {"enable": True, "substitution_tag": "%"}
        )
    answer = await http.post(PATH, mail)

    assert 400 == answer.status
    (error,) = answer.value["errors"]
    named = error["field"].replace("personalizations.0", "personalizations")
    assert field == named.removesuffix(".enable")
    assert f"{field.rpartition('.')[2]} is not supported: " in error["message"]
    assert not http_door.intake.accepted
    if setting and not field.endswith("substitution_tag"):  # off it asks for nothing
        off = with_field(field, {"enable": False, "text": "as it was set up once"})
        assert 202 == (await http.post(PATH, off)).status


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ip_pool_name", "transactional"),
        ("tracking_settings.click_tracking", {"enable": True, "enable_text": True}),
    ],
)
async def test_what_has_no_effect_changes_nothing(
    http: HttpWireClient, http_door: RunningHttp, field: str, value: Any
) -> None:
    without = {"enable": True} if isinstance(value, dict) else None
    plain = with_field(field, without) if without else MAIL
    for mail in (plain, with_field(field, value)):
        assert 202 == (await http.post(PATH, mail)).status
    one, other = http_door.intake.accepted
    assert one.attributes == other.attributes
    assert one.terms == other.terms
    assert one.recipients == other.recipients
    assert one.body == other.body
    assert {"ip_pool_name", "tracking_settings.click_tracking.enable_text"} == {
        name for name, status in TABLE.items() if status == "no effect"
    }


def read(submission: Submission) -> EmailMessage:
    found = message_from_bytes(submission.header + submission.body, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def types(submission: Submission) -> list[str]:
    return [part.get_content_type() for part in read(submission).walk()]


def of_one(**more: Any) -> dict[str, Any]:
    return {"personalizations": [{**ONE, **more}]}


# By field: what is changed in the request, and what has to be so of the message.
HONOURED: dict[str, tuple[dict[str, Any], Callable[[Submission], bool]]] = {
    "personalizations": (of_one(), lambda s: s.recipients == ("x@there.example",)),
    "personalizations.to": (
        of_one(to=[{"email": "a@b.example"}, {"email": "c@d.example"}]),
        lambda s: read(s)["To"] == "a@b.example, c@d.example",
    ),
    "personalizations.to.email": (
        of_one(to=[{"email": " a@bücher.example"}]),
        lambda s: s.recipients == ("a@xn--bcher-kva.example",),
    ),
    "personalizations.to.name": (
        of_one(to=[{"email": "a@b.example", "name": "Ä, B; C"}]),
        lambda s: read(s)["To"].addresses[0].display_name == "Ä, B; C",
    ),
    "personalizations.cc": (
        of_one(cc=[{"email": "c@d.example"}]),
        lambda s: read(s)["Cc"] == "c@d.example" and s.recipients[1:] == ("c@d.example",),
    ),
    "personalizations.bcc": (
        of_one(bcc=[{"email": "b@d.example"}]),
        lambda s: s.recipients[1:] == ("b@d.example",) and b"b@d" not in s.header + s.body,
    ),
    "personalizations.from": (
        of_one(**{"from": {"email": "al@b.example", "name": "Al"}}),
        lambda s: (s.sender, read(s)["From"]) == ("al@b.example", "Al <al@b.example>"),
    ),
    "personalizations.subject": (of_one(subject="Mine"), lambda s: read(s)["Subject"] == "Mine"),
    "personalizations.headers": (
        {"headers": {"X-A": "1", "X-B": "2"}, **of_one(headers={"x-a": "3"})},
        lambda s: (read(s).get_all("X-A"), read(s)["X-B"]) == (["3"], "2"),
    ),
    "personalizations.substitutions": (
        {
            **of_one(substitutions={"-name-": "Jo", "-none-": None}),
            "subject": "For -name-",
            "reply_to": {"email": "re+-name-@a.example", "name": "-name-"},
            "content": [{"type": "text/plain", "value": "Hi -name--none-!"}, HTML],
        },
        lambda s: (
            [read(s)["Subject"], read(s)["Reply-To"]] == ["For Jo", "Jo <re+Jo@a.example>"]
            and b"Hi Jo!" in s.body
            and b"<p>Hi Jo" in s.body
        ),
    ),
    "personalizations.custom_args": (
        {"custom_args": {"a": "1", "b": "2"}, **of_one(custom_args={"a": "3"})},
        lambda s: s.attributes.metadata == {"a": "3", "b": "2"},
    ),
    "personalizations.send_at": (
        {"send_at": 1, **of_one(send_at=SEND_AT)},
        lambda s: s.terms.send_at == datetime.fromtimestamp(SEND_AT, UTC),
    ),
    "from": (
        {"from": {"email": "al@b.example", "name": "Al"}},
        lambda s: (s.sender, read(s)["From"]) == ("al@b.example", "Al <al@b.example>"),
    ),
    "reply_to": (
        {"reply_to": {"email": "re@a.example", "name": "R"}},
        lambda s: read(s)["Reply-To"] == "R <re@a.example>",
    ),
    "reply_to_list": (
        {"reply_to_list": [{"email": "re@a.example"}, {"email": "ri@a.example"}]},
        lambda s: read(s)["Reply-To"] == "re@a.example, ri@a.example",
    ),
    "subject": ({"subject": "Grüße"}, lambda s: read(s)["Subject"] == "Grüße"),
    "content": (
        {"content": [HTML, *MAIL["content"]]},
        lambda s: types(s) == ["multipart/alternative", "text/plain", "text/html"],
    ),
    "content.type": (
        {"content": [{"type": kind, "value": "v"} for kind in ("text/calendar", "text/HTML")]},
        lambda s: types(s) == ["multipart/alternative", "text/html", "text/calendar"],
    ),
    "content.value": (
        {"content": [{"type": "text/plain", "value": "12 €"}]},
        lambda s: read(s).get_content() == "12 €\r\n",
    ),
    "attachments": (
        {"attachments": [FILE, FILE]},
        lambda s: len(list(read(s).iter_attachments())) == 2,
    ),
    "attachments.content": (
        {"attachments": [FILE]},
        lambda s: next(read(s).iter_attachments()).get_content() == b"abc",
    ),
    "attachments.filename": (
        {"attachments": [{**FILE, "filename": "ü.bin"}]},
        lambda s: next(read(s).iter_attachments()).get_filename() == "ü.bin",
    ),
    "attachments.type": (
        {"attachments": [{**FILE, "type": "text/csv; charset=utf-8"}]},
        lambda s: types(s)[-1] == "text/csv",
    ),
    "attachments.disposition": (
        {"attachments": [{**FILE, "disposition": "inline"}]},
        lambda s: next(read(s).iter_attachments()).get_content_disposition() == "inline",
    ),
    "attachments.content_id": (
        {
            "content": [HTML],
            "attachments": [{**FILE, "disposition": "inline", "content_id": "logo"}],
        },
        lambda s: types(s)[0] == "multipart/related" and b"Content-ID: <logo>" in s.body,
    ),
    "headers": (
        {"headers": {"X-A": "ä", "X-Priority": "1"}},
        lambda s: read(s)["X-A"] == "ä" and s.lane is Lane.VERY_HIGH,
    ),
    "categories": ({"categories": ["b", "a"]}, lambda s: s.attributes.tags == ("b", "a")),
    "custom_args": (
        {"custom_args": {"a": "x" * 9_999}},
        lambda s: len(s.attributes.metadata["a"]) == 9_999,
    ),
    "send_at": (
        {"send_at": SEND_AT},
        lambda s: s.terms.send_at == datetime.fromtimestamp(SEND_AT, UTC),
    ),
    "mail_settings.sandbox_mode": (
        {"mail_settings": {"sandbox_mode": {"enable": False}}},
        lambda s: s.recipients == ("x@there.example",),
    ),
    "tracking_settings.click_tracking": (
        {"tracking_settings": {"click_tracking": {"enable": False}}},
        lambda s: s.attributes.flags == {"click_tracking": False},
    ),
    "tracking_settings.open_tracking": (
        {"tracking_settings": {"open_tracking": {"enable": True, "substitution_tag": None}}},
        lambda s: s.attributes.flags == {"open_tracking": True},
    ),
}


@pytest.mark.parametrize("field", [name for name, status in TABLE.items() if status == "honoured"])
async def test_what_is_honoured(http: HttpWireClient, http_door: RunningHttp, field: str) -> None:
    change, holds = HONOURED[field]
    answer = await http.post(PATH, {**MAIL, **change})

    assert 202 == answer.status, answer.body
    (kept,) = http_door.intake.accepted
    assert holds(kept), kept.header + kept.body


def test_there_is_no_case_without_a_row() -> None:
    assert HONOURED.keys() == {name for name, status in TABLE.items() if status == "honoured"}


ODD = st.text(st.sampled_from('a-\r\n\t\0:;,<>"\\=? é\u2028\x7f😀'), max_size=12)


@given(place=st.integers(0, 9), text=ODD)
def test_no_text_brings_a_field_a_recipient_or_a_part(place: int, text: str) -> None:
    """It is refused, or it is where it belongs."""
    texts = ["a"] * 10
    texts[place] = text
    name, tag, subject, field, header, file, reply, value, of_tag, kind = texts
    mail = {
        **MAIL,
        **of_one(substitutions={f"{tag}-": of_tag}, headers={"X-A": header, f"X-B{field}": "b"}),
        "from": {"email": "jo@a.example", "name": name},
        "reply_to": {"email": "re@a.example", "name": f"{reply}{tag}-"},
        "subject": f"s{subject}{tag}-",
        "content": [{"type": "text/plain", "value": f"t{value}{tag}-"}],
        "attachments": [{**FILE, "filename": file, "type": f"a/b{kind}"}],
    }
    try:
        message = MailSend(mail, 1_000_000).message(0)
        octets = made(message, Making("<1@a.example>", datetime(2026, 7, 1, tzinfo=UTC), "token"))
    except WrongValue:
        return
    assert ("x@there.example",) == message.recipients
    found = message_from_bytes(octets, policy=policy.default)
    assert isinstance(found, EmailMessage)
    names = ("date", "from", "message-id", "mime-version", "reply-to", "subject", "to", "x-a")
    expected = sorted(("content-type", f"x-b{field}".lower(), *names))
    assert expected == sorted(name.lower() for name in found)
    (attached,) = found.iter_attachments()
    assert b"abc" == attached.get_payload(decode=True)
