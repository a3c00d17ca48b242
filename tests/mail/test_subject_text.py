"""C11: a Subject that is not correctly encoded is encoded again, and shows what was meant."""

from email import message_from_bytes, policy
from email.header import Header as EncodedWords

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.encoded_words import decoded
from posthouse.mail.message import Header
from posthouse.mail.subject_text import repair_subject

JAPANESE = "日本語の件名"


def repaired(value: bytes | str, content_type: str = "") -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    return repair_subject(Header.parse(b"Subject: " + octets + b"\r\n").fields[0], content_type).raw


@pytest.mark.parametrize(
    ("value", "content_type", "shown"),
    [
        ("Grüße an alle", "", "Grüße an alle"),
        (b"Gr\xfc\xdfe", "", "Grüße"),
        (b"\x80 5 \x93x\x94", "", "€ 5 “x”"),  # Windows-1252
        (b"Gr\xfc\xdfe \x81", "", "Grüße  "),  # that is in no charset
        (b"\xb1\xb6", "text/plain; charset=iso-8859-2", "ąś"),
        (b"\xb1\xb6", 'text/plain; format=flowed; CharSet="ISO-8859-2"', "ąś"),
        ("ąś", "text/plain; charset=iso-8859-2", "ąś"),  # UTF-8 it is all the same
        (b"\xb1\xb6", "text/plain; charset=nonsense", "±¶"),
        (JAPANESE.encode("shift_jis"), "text/plain; charset=shift_jis", JAPANESE),
        (JAPANESE.encode("iso-2022-jp"), "", JAPANESE),
        (b"x\x1b[1m red", "", "x [1m red"),  # no ISO 2022
        ("=?us-ascii?Q?Gr=FC=DFe?=", "", "Grüße"),
        ("=?us-ascii?Q?Gr=C3=BC=C3=9Fe?=", "", "Grüße"),
        ("=?utf-8?Q?Gr=FC=DFe?= an alle", "", "Grüße an alle"),
        ("=?iso-8859-1?Q?=93x=94?=", "", "“x”"),
        ("=?gb2312?B?6UY=?=", "", "镕"),
        ("=?nonsense?Q?Gr=C3=BC=C3=9Fe?=", "", "Grüße"),
        ("=?punycode?Q?abc?=", "", "abc"),
        ("=?hex?Q?abc?=", "", "abc"),
        ("=?utf-8?Q?Hello World?=", "", "Hello World"),
        ("=?utf-8?B?SGVs bG8=?= you", "", "Hello you"),
        ("=?utf-8?Q?Gr=C3=BC?= =?us-ascii?Q?=FC?= x =?utf-8?Q?y?=", "", "Grüü x y"),
        ("=?utf-8?Q?a?= ü", "", "a ü"),
        ("=?utf-8?Q?ü?=", "", "ü"),
        ("=?utf-8?Q?a=0D=0ABcc:_x?=", "", "a  Bcc: x"),
        ("\x1b=?utf-8?Q?a?=", "", " a"),
    ],
)
def test_C11_a_wrong_subject_shows_what_was_meant(
    value: bytes | str, content_type: str, shown: str
) -> None:
    raw = repaired(value, content_type)
    assert raw.isascii()
    assert shown.strip() == decoded(Header.parse(raw).values("Subject")[0])
    parsed = message_from_bytes(raw + b"\r\n", policy=policy.default)
    assert shown.split() == str(parsed["Subject"]).split()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert b"\x1b" not in raw
    assert raw == repair_subject(Header.parse(raw).fields[0], content_type).raw


@pytest.mark.parametrize(
    "value",
    [
        "",
        "plain",
        "folded\r\n as  it \t is",
        "a =? b ?= c",
        "=?utf-8?Q?not ended",
        "=?utf-8?Q?Gr=C3=BC=C3=9Fe?= an alle",
        "=?UTF-8?b?SsM=?= =?utf-8?B?tg==?=",  # a character in two words
        "=?iso-8859-1*de?Q?J=F6rg?=",
        "=?gb2312?B?1tDOxA==?=",
        "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=",
        "=?utf-7?Q?Gr+APw-?=",
        "=?koi8-r?B?8NLJ18XU?=\r\n =?koi8-r?B?8NLJ18XU?=",
        "=?utf-8?Q??=",
    ],
)
def test_C11_a_right_subject_keeps_its_octets(value: str) -> None:
    assert repaired(value) == f"Subject: {value}\r\n".encode()


def test_C11_what_cannot_be_written_within_a_line_stays() -> None:
    value = "=?nonsense?Q?" + "x" * 1_200 + "?="
    assert repaired(value) == f"Subject: {value}\r\n".encode()


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=80))
def test_C11_what_another_program_encodes_stays(text: str) -> None:
    value = EncodedWords(text, "utf-8").encode(linesep="\r\n")
    assert repaired(value) == f"Subject: {value}\r\n".encode()


@given(
    st.lists(
        st.sampled_from(
            [b"=?", b"utf-8", b"us-ascii", b"?Q?", b"?B?", b"?=", b"=FC", b"\xfc", b" "]
        )
        | st.binary(max_size=4).map(lambda octets: octets.translate(None, b"\r\n\0"))
    ).map(b"".join)
)
def test_C11_any_octets_make_one_field(value: bytes) -> None:
    fields = Header.parse(repaired(value)).fields
    assert [b"subject"] == [field.name for field in fields]
