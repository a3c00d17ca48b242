"""What reports and lists of messages show of a message is what its reader sees."""

import pytest

from ingest.core.message_headline import headline_of
from posthouse.mail.headline import Headline
from posthouse.profiles import resolve
from servers.admitting import facts_for, incoming

SHOP = "From: Shop <shop@a.example>\n"


@pytest.mark.parametrize(
    ("preset", "header", "expected"),
    [
        ("native", SHOP + "Subject: Hi", Headline("Hi", "shop@a.example", "Shop")),
        ("native", "Subject: Hi", Headline("Hi")),
        ("native", "From: a b c\nSubject: Hi", Headline("Hi")),
        ("native", "From: jo@a.example", Headline("", "jo@a.example")),
        (
            "native",
            "From: =?utf-8?Q?J=C3=B6?= <jo@A.example>\nSubject: =?utf-8?B?SGk=?=\n there\n",
            Headline("Hi there", "jo@a.example", "J\u00f6"),
        ),
        ("native", SHOP + "Subject: \x00a\tb", Headline("\ufffda b", "shop@a.example", "Shop")),
        ("critsend", SHOP + "Subject: [tag: x] Hi", Headline("Hi", "shop@a.example", "Shop")),
        (
            "native",
            SHOP + "Subject: [tag: x] Hi",
            Headline("[tag: x] Hi", "shop@a.example", "Shop"),
        ),
        ("maxemail", SHOP + "Subject: Hi", Headline("Hi", "out@b.example", "Shop")),
    ],
)
def test_subject_and_author_are_those_that_recipients_see(
    preset: str, header: str, expected: Headline
) -> None:
    message = incoming(header, facts_for(preset))
    assert expected == headline_of(message.head, "out@b.example", resolve(preset))


def test_what_is_long_is_cut() -> None:
    message = incoming(
        f"From: {'n' * 300} <a@b.example>\nSubject: {'s' * 300}", facts_for("native")
    )
    found = headline_of(message.head, "", resolve("native"))
    assert (200, 200) == (len(found.subject), len(found.author_name))
