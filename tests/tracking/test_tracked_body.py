"""What comes out of tracking: the message as it was, but for its links and a pixel."""

import re
from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbohtml import Token, TokenType, tokenize

from posthouse.mail.body_edits import edited, packed, with_packed
from posthouse.mail.message import Header
from posthouse.tracking.link_rules import LinkRules, urls_in
from posthouse.tracking.tracked_body import TrackedBody, Untracked, Wanted, track_body
from servers.newsletters import PIECES, Letter, letters

PIXEL = '<img src="https://t.example/o/x" alt="" width="1" height="1">'
LINK = "https://t.example/c/{}"
LONGEST = (PIXEL, LINK.format("x" * 52))
BOTH = Wanted(opens=True, clicks=True)
LETTERS = letters()
TYPE = b"Content-Type: text/html; charset=utf-8\r\n"


def tracked(
    header: bytes, body: bytes, wanted: Wanted = BOTH, **rules: object
) -> TrackedBody | Untracked:
    read = Header.parse(header)
    known = {"untracked": urls_in(read.values("List-Unsubscribe")), **rules}
    return track_body(read, body, wanted, LinkRules(**known), LONGEST)  # type: ignore[arg-type]


def filled(found: TrackedBody | Untracked, body: bytes) -> bytes:
    """*body* as it is sent, and as whoever reads what is stored makes it."""
    assert isinstance(found, TrackedBody), found
    edits = found.edits(PIXEL, [LINK.format(n) for n in range(len(found.targets))])
    made = edited(body, edits)
    assert made == with_packed(body, packed(edits))
    return made


def html_of(html: str, wanted: Wanted = BOTH, **rules: object) -> tuple[str, tuple[str, ...]]:
    """A page after tracking, and the targets of its links."""
    found = tracked(TYPE + b"\r\n", html.encode(), wanted, **rules)
    if isinstance(found, Untracked):
        return html, ()
    return filled(found, html.encode()).decode(), found.targets


# The corpus: another tokenizer, the one of WHATWG, sees the same tokens but for what was put in.


@pytest.mark.parametrize("letter", LETTERS, ids=[letter.name for letter in LETTERS])
def test_only_links_and_pixel_change(letter: Letter) -> None:
    found = tracked(letter.header, letter.body, no_track_hosts=frozenset({"free.example"}))
    body = filled(found, letter.body)
    assert isinstance(found, TrackedBody)
    assert letter.targets == found.targets
    assert (True, "", ()) == (found.has_pixel, found.rewritten.transfer_encoding, found.left)

    before = message_from_bytes(letter.header + letter.body)
    after = message_from_bytes(letter.header + body)
    old, new = html_part(before), html_part(after)
    assert tokens(text_of(old)) == tokens(untracked(text_of(new), originals(text_of(old))))
    assert skeleton(letter.body, old) == skeleton(body, new)


def html_part(message: Message) -> Message:
    (part,) = [
        part
        for part in message.walk()
        if part.get_content_type() == "text/html"
        and part.get_content_disposition() is None
        and part["From"] in (None, message["From"])
    ]
    return part


def text_of(part: Message) -> str:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode(part.get_param("charset"))  # type: ignore[arg-type]


def originals(text: str) -> list[str]:
    """The values of href in the tags of a text, in comments for Outlook too."""
    return re.findall(r"href\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>\"']+)", text, re.IGNORECASE)


def untracked(text: str, values: list[str]) -> str:
    """The text with its pixel gone and each tracked link as it was."""
    assert 1 == text.count(PIXEL)
    text = text.replace(PIXEL, "")
    now = originals(text)
    assert len(values) == len(now)
    for new, old in zip(now, values, strict=True):
        if "https://t.example/c/" in new:
            assert new[0] == old[0] or new.startswith("https://")  # quoted as it was
            text = text.replace(new, old, 1)
    return text


def tokens(text: str) -> list[tuple[object, ...]]:
    return [_plain(token) for token in tokenize(text, resolve_references=False)]


def _plain(token: Token) -> tuple[object, ...]:
    kind = TokenType(token.type)
    return kind, token.tag, token.data, tuple(token.attrs or ()), token.self_closing, token.name


def skeleton(body: bytes, html: Message) -> bytes:
    """Everything but the content of the part in HTML, octet by octet."""
    octets = str(vars(html)["_payload"]).encode("ascii", "surrogateescape")
    assert octets in body
    return body.replace(octets, b"HTML", 1)


def test_the_corpus_has_every_piece_and_form() -> None:
    assert 200 == len(LETTERS) == len({letter.name for letter in LETTERS})
    assert {target for piece in PIECES.values() for target in piece.targets} == {
        target for letter in LETTERS for target in letter.targets
    }


# Single texts.


@pytest.mark.parametrize(
    ("html", "end"),
    [
        ("<a href=x>", 10),
        ("<body>x</body></html>", 7),
        ("x</body><p>y</body>", 12),
        ("<p>x</html>", 4),
        ("<!-- </body> --><p>", 19),
    ],
)
def test_the_pixel_is_the_last_thing_that_is_shown(html: str, end: int) -> None:
    assert f"{html[:end]}{PIXEL}{html[end:]}" == html_of(html)[0]


@pytest.mark.parametrize("html", ["<p>x<b", "<p>x<!-- y", "<p>x<style>y", '<p>x<a href="y>'])
def test_where_nothing_can_follow_there_is_no_pixel(html: str) -> None:
    assert (html, ()) == html_of(html)
    found = tracked(TYPE + b"\r\n", html.encode())
    assert Untracked("a part ends within a tag or comment: no pixel can follow it") == found


@pytest.mark.parametrize(
    "before",
    [
        "<p>", "<P CLASS=x>", "</p\n>", "</p x='>'>", "<td width=600 nowrap>", "<td a=b'c>",
        "<br/>", "<td a='>\"'>", '<td\ta="<a href=x>">', "<strong x=\"'\">", "<nobr>", "<thead>",
        "<plain>", "<tt>", "<sup>", '<b1 c-2="">', "<o:p>", "<x>", "</1>", "<1 a='", "< p '",
        "2 < 3",
        # After these the link is within a value, a tag, a comment or raw text.
        '<p ="x b=">', '<p="x b=">', '<p/="x b=">', '<p a="x"="y z=">', '<p a=="x b=">', "<p a= '>",
        '<p a ="', "<p a='", "<p a=\"'>", '<p a=b c=">', "<p a=b ", "</p a='", "<!--", "<!-- -- >",
        "<title>", "<TEXTAREA x='>'>", "<style a=b>", "<Script>", "<xmp>", "<iframe>", "<noembed>",
        "<noFrames>", "<plaintext>",
    ],
)  # fmt: skip
def test_a_link_is_where_a_tokenizer_sees_one(before: str) -> None:
    for page in (before, f"<table><tr>{before}", f"<b>{before}</b>"):
        text = f'{page}<a class="b" href="https://a.example/">x</a>"\'>'
        now, targets = html_of(text, Wanted(opens=False, clicks=True))
        assert len(targets) == page_links(text, "https://a.example/") == page_links(now)


@pytest.mark.parametrize(
    ("link", "is_tracked"),
    [
        ('<a data-posthouse="no-track" href="https://a.example/">x</a>', False),
        ('<a href="https://a.example/" data-posthouse="no-track">x</a>', False),
        ('<a href="https://a.example/" DATA-POSTHOUSE=no-track>x</a>', False),
        ("<a href='https://a.example/' data-posthouse='y no-track'><b>x</b></a>", False),
        ('<a href="https://a.example/" data-posthouse="track">no-track</a>', True),
        ('<a href="https://a.example/"> data-posthouse="no-track"</a>', True),
        ('<a href="https://a.example/" class="no-track">x</a>', True),
    ],
)
def test_a_link_is_left_where_its_own_tag_says_so(link: str, is_tracked: bool) -> None:
    other = '<p data-posthouse="no-track"><a href="https://b.example/">y</a>'
    _, targets = html_of(f"<p>{link}{other}", Wanted(opens=False, clicks=True))
    assert ["https://a.example/"] * is_tracked + ["https://b.example/"] == list(targets)


@pytest.mark.parametrize(
    "content",
    ["Unsubscribe", "<b>Unsubscribe</b>", "x" * 480 + "unsubscribe", "<i>" + "x" * 470 + "opt out"],
)
def test_the_text_of_a_link_is_looked_at_to_its_end_tag(content: str) -> None:
    """And not beyond it, nor beyond 500 characters."""
    clicks = Wanted(opens=False, clicks=True)
    for end in ("</a>", "</A >", "<a", ""):
        assert () == html_of(f'<a href="https://a.example/">{content}{end}', clicks)[1]
    far = f'<a href="https://a.example/">{"x" * 501}{content}</a>'
    after = f'<a href="https://a.example/">x</a>{content}'
    assert ("https://a.example/",) == html_of(far, clicks)[1] == html_of(after, clicks)[1]


def test_opens_and_clicks_are_independent() -> None:
    """T09."""
    page = '<a href="https://a.example/">x</a>'
    link = f'<a href="{LINK.format(0)}">x</a>'
    target = ("https://a.example/",)
    assert (page + PIXEL, ()) == html_of(page, Wanted(opens=True, clicks=False))
    assert (link, target) == html_of(page, Wanted(opens=False, clicks=True))
    assert (link + PIXEL, target) == html_of(page)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("https://a.example/?a=1&copy=2&reg;", "https://a.example/?a=1&copy=2%C2%AE"),
        (
            "https://a.example/?a&notit;&not=&amp=&#38;&#x26",
            "https://a.example/?a&notit;&not=&amp=&&",
        ),
        ("https://a.example/\t\nb ", "https://a.example/b"),
        ("HTTPS://A.example:8443/#x", "HTTPS://A.example:8443/#x"),
        ("https://a.example/ü^`", "https://a.example/%C3%BC%5E%60"),
        ("http://a.example", "http://a.example"),
    ],
)
def test_a_target_is_what_a_browser_would_ask_for(value: str, target: str) -> None:
    assert (target,) == html_of(f'<a href="{value}">x</a>')[1]


@pytest.mark.parametrize(
    "value",
    [
        "mailto:a@b.example", "tel:+1", "cid:x", "#x", "", "/x", "//a.example/", "x.html",
        "ftp://a.example/", "https:a.example", "https://", "https:///x", "https://a b.example/",
        "https://me:secret@a.example/", "https://a.example\\@b.example/", "javascript:alert(1)",
        "data:text/html,x", "https://[::1]/", "https://a%2eexample/", "{{link}}",
        "https://a.example/unsubscribe/1", "https://a.example/?opt_out=1",
        "https://a\0b.example/", "https://a\x01b.example/", "https://a<b>.example/",
        "http\u017f://a.example/",
        "https://free.example/x", "https://w.free.example/x", "https://a.example/" + "x" * 9000,
    ],
)  # fmt: skip
def test_other_links_stay_as_they_are(value: str) -> None:
    page = f'<a href="{value}">x</a>'
    clicks = Wanted(opens=False, clicks=True)
    assert (page, ()) == html_of(page, clicks, no_track_hosts=frozenset({"free.example"}))


@pytest.mark.parametrize("text", ["Unsubscribe", "hier <b>abmelden</b>", "me d&eacute;sabonner"])
def test_a_link_to_unsubscribe_by_is_known_by_its_text_too(text: str) -> None:
    page = f'<a href="https://a.example/1">{text}</a>'
    assert (page, ()) == html_of(page, Wanted(opens=False, clicks=True))
    other = '<a href="https://a.example/2">x</a>'
    assert ("https://a.example/2",) == html_of(page + other)[1]


def test_C21_links_carry_the_traffic_source() -> None:
    page = '<a href="https://a.example/?b">x</a><a href="https://a.example/?utm_source=own">y</a>'
    assert (
        "https://a.example/?b&utm_source=invite1",
        "https://a.example/?utm_source=own",
    ) == html_of(page, source="invite1")[1]


# Messages that go out as they came, or nearly.


@pytest.mark.parametrize(
    ("content_type", "more", "body", "reason"),
    [
        ("multipart/signed; boundary=b", "", "--b\r\n\r\nx\r\n--b--", "signed or encrypted"),
        ("multipart/encrypted; boundary=b", "", "--b\r\n\r\nx", "signed or encrypted"),
        ("application/pkcs7-mime; smime-type=enveloped-data", "", "x", "signed or encrypted"),
        ("text/html", "", "<pre>-----BEGIN PGP MESSAGE-----", "signed or encrypted"),
        ("text/html; charset=utf-7", "", "<p>", "the charset 'utf-7'"),
        ("text/html; charset=x-unknown", "", "<p>", "the charset 'x-unknown'"),
        ("text/html; charset=rot13", "", "<p>", "the charset 'rot13'"),
        ("text/html; charset=utf-16", "", "<p>", "not in the charset utf-16"),
        ("text/html; charset=iso-2022-jp", "", "\x1b$B", "not in the charset iso-2022-jp"),
        ("text/html", "Content-Transfer-Encoding: base64\r\n", "PH*+", "not the base64"),
        ("text/html", "Content-Transfer-Encoding: base64\r\n", "PHA", "not the base64"),
        ("text/html", "Content-Transfer-Encoding: x-uue\r\n", "<p>", "encoding 'x-uue'"),
        ("text/html", "", "<p>" + "x" * (1 << 20), "larger than 1 MiB"),
        ("text/html", "Content-Disposition: Attachment\r\n", "<p>", "no HTML"),
        ("text/plain", "", "https://a.example/", "no HTML"),
        ("multipart/mixed", "", "<a href=https://a.example/>", "no HTML"),
        ("message/rfc822", "", "Content-Type: text/html\r\n\r\n<p>", "no HTML"),
    ],
)
def test_what_cannot_be_rewritten_safely_stays_and_says_why(
    content_type: str, more: str, body: str, reason: str
) -> None:
    header = f"Content-Type: {content_type}\r\n{more}\r\n".encode()
    found = tracked(header, body.encode())
    assert isinstance(found, Untracked)
    assert reason in found.reason


def test_a_message_with_thousands_of_parts_stays_as_it_is() -> None:
    """Each takes some microseconds to read, and 25 MB hold four million of them."""
    header = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    part = b"\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>"
    read, _ = Header.read(header)
    few, many = (
        track_body(read, part * count + b"\r\n--b--\r\n", BOTH, LinkRules(), LONGEST)
        for count in (100, 6_000)
    )
    assert isinstance(few, TrackedBody)
    assert Untracked("it has too many parts") == many


def test_a_signed_part_stays_and_another_part_is_tracked() -> None:
    signed = b"--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n"
    html = b"--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n"
    found = tracked(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", signed + html)
    assert isinstance(found, TrackedBody)
    assert ("what is signed or encrypted stays as it is",) == found.left
    assert signed + html.replace(b"<p>", b"<p>" + PIXEL.encode()) == filled(found, signed + html)


def test_links_in_text_are_tracked_where_the_account_wants_that() -> None:
    text = (
        b"See https://a.example/x?y=1, and <http://b.example/>.\r\nUnsubscribe: https://a.example/u"
    )
    header = b"Content-Type: text/plain\r\n\r\n"
    found = tracked(header, text, Wanted(opens=True, clicks=True, text_links=True))
    assert isinstance(found, TrackedBody)
    assert ("https://a.example/x?y=1", "http://b.example/") == found.targets
    assert filled(found, text) == (
        b"See https://t.example/c/0, and <https://t.example/c/1>.\r\n"
        b"Unsubscribe: https://a.example/u"
    )


def test_a_line_that_becomes_too_long_makes_the_part_quoted_printable() -> None:
    """RFC 5322 section 2.1.1; in a multipart its own field says so, else that of the message."""
    line = '<a href="https://a.example/">x</a>' * 28
    found = tracked(TYPE + b"\r\n", line.encode())
    assert isinstance(found, TrackedBody)
    assert "quoted-printable" == found.rewritten.transfer_encoding
    header = TYPE + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    part = b"--b\r\n" + TYPE + b"Content-Transfer-Encoding: 7bit\r\n\r\n" + line.encode()
    outer = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    inner = tracked(outer, part + b"\r\n--b--\r\n")
    whole = part + b"\r\n--b--\r\n"
    for message in (header + filled(found, line.encode()), outer + filled(inner, whole)):
        assert max(map(len, message.split(b"\r\n"))) < 100
        text = text_of(html_part(message_from_bytes(message)))
        assert [LINK.format(n) for n in range(28)] == re.findall(r'href="([^"]*)"', text)


def test_another_charset_is_read_for_the_targets_only() -> None:
    page = '<a href="https://a.example/é">é</a>'
    for charset in ("iso-8859-1", "utf-16", "utf-16-be", "gb18030", "shift_jis", "utf-8"):
        if charset == "shift_jis":
            page = page.replace("é", "ソ")  # whose second octet is that of a backslash
        header = f"Content-Type: text/html; charset={charset}\r\n\r\n".encode()
        encoded = page.encode(charset)
        found = tracked(header, encoded)
        assert isinstance(found, TrackedBody), charset
        assert 1 == len(found.targets)
        now = filled(found, encoded).decode(charset)
        assert re.sub('href="[^"]*"', "", page) == re.sub('href="[^"]*"', "", now).replace(
            PIXEL, ""
        )
    broken = b'<a href="https://a.example/\xff">\xff</a><a href="https://a.example/b">x</a>'
    assert ("https://a.example/b",) == tracked(TYPE + b"\r\n", broken).targets  # type: ignore[union-attr]


# Any text.

soup = st.lists(
    st.sampled_from(
        ["<a ", "href=", '"', "'", ">", "<", "/", "=", " ", "\r\n", "x", "https://a.example/",
         "<!--", "-->", "<style>", "</style>", "</body>", "<!", "<p", "</", "&amp;", "é", "\0",
         "<title>", "[if mso]>", "<![endif]", "<textarea", "--!>", "<A HREF='", "<svg"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(soup)
def test_any_text_keeps_all_octets_but_those_of_links(html: str) -> None:
    """And a tokenizer finds each tracked link where there was a link before."""
    page, targets = html_of(html, Wanted(opens=False, clicks=True))
    pieces = re.split(r"https://t\.example/c/\d+", page)
    assert len(targets) + 1 == len(pieces)
    assert re.fullmatch("(.*)".join(map(re.escape, pieces)), html, re.DOTALL)
    if "[if mso]>" not in html and "<svg" not in html:
        assert len(targets) == page_links(page)


def page_links(page: str, begin: str = "https://t.example/c/") -> int:
    return sum(
        begin in (token.attr("href") or "")
        for token in tokenize(page)
        if token.type == TokenType.START_TAG and token.tag in ("a", "area")
    )


@given(st.binary(max_size=200), st.sampled_from(["", "base64", "quoted-printable", "8bit"]))
def test_no_octets_make_it_fail(octets: bytes, encoding: str) -> None:
    body = b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: %b\r\n\r\n%b\r\n--b--\r\n"
    found = tracked(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", body % (encoding.encode(), octets)
    )
    if isinstance(found, TrackedBody):
        whole = body % (encoding.encode(), octets)
        assert filled(found, whole).startswith(whole.partition(b"\r\n\r\n")[0])
        assert filled(found, whole).endswith(b"\r\n--b--\r\n")


def test_a_hostile_text_takes_time_by_its_length_only() -> None:
    """None of these ends within the limit of a test if a search goes back and forth in it."""
    for piece in (
        "<",
        "<a ",
        '<a href="',
        "<a b=c ",
        "<!--",
        "<style>",
        "&amp;#",
        "<a href=' ",
        "= ",
    ):
        html_of(piece * (200_000 // len(piece)))
