"""Strange fields: names, octets, addresses, dates and identifiers that few programs write."""

from collections.abc import Iterator

from mail.strange.headers import BODY, FROM, IDENTIFIED, USUAL


def kinds() -> Iterator[tuple[str, bytes]]:
    """Name and message of each."""
    for name, field in {**_names(), **_octets(), **_words(), **_addresses()}.items():
        yield name, USUAL + field + b"\r\n\r\n" + BODY
    for name, field in _authors().items():
        yield name, field + b"\r\nSubject: x\r\n" + IDENTIFIED + b"\r\n" + BODY
    for name, field in _identification().items():
        yield name, FROM + field + b"\r\n\r\n" + BODY


def _names() -> dict[str, bytes]:
    return {
        "a name of specials": b"!#$%&'*+-^_`|~(){}[]<>@,;=\"\\/?.: 1",
        "a name of one letter": b"a: 1",
        "a name of digits": b"0123456789: 1",
        "a name in capitals": b"REFERENCES: <1@A.EXAMPLE>",
        "a name in small letters": b"list-id: <l.sender.example>",
        "a blank before the colon": b"X-Old : 1",
        "a tab before the colon": b"X-Old\t: 1",
        "many blanks before the colon": b"Comments  \t  : 1",
        "no blank behind the colon": b"X-Tight:1",
        "many blanks behind the colon": b"X-Wide:  \t  1",
        "a value that begins with a colon": b"X-Colon:: 1",
        "no value": b"X-Empty:",
        "a value of blanks": b"X-Blank: \t ",
        "blanks at the end": b"X-Trailing: 1 \t ",
        "two blanks and tabs between words": b"X-Runs: a  b\tc \t d",
        "a name like ours": b"X-Posthous-Id: 1",
        "a name that begins like Bcc": b"Bcc-Of: 1",
    }


def _octets() -> dict[str, bytes]:
    controls = {
        f"the control character {octet:02x}": b"X-Control: a%bb" % bytes([octet])
        for octet in (*range(1, 9), 11, 12, *range(14, 32), 127)
    }
    return controls | {
        "Latin-1 in an unknown field": b"X-Latin: Gr\xfc\xdfe",
        "UTF-8 that is cut": b"X-Cut: Gr\xc3",
        "UTF-8 that is too long": b"X-Overlong: \xc0\xaf\xe0\x80\xaf",
        "a surrogate in UTF-8": b"X-Surrogate: \xed\xa0\x80",
        "all octets above ASCII": b"X-All: " + bytes(range(128, 256)),
        "UTF-8 in an unknown field": "X-Utf8: größe ☃ 😀".encode(),
        "UTF-8 in an identifier": "References: <größe@a.example>".encode(),
        "UTF-8 in a parameter": 'X-Mailer: x; name="größe.pdf"'.encode(),
        "a byte order mark": b"X-Bom: \xef\xbb\xbfvalue",
        "marks of direction": "X-Direction: \u202eabc\u202c \u200f".encode(),
        "characters without width": "X-Width: a\u200bb\u00adc\ufeffd".encode(),
        "a blank that does not break": "X-Nbsp: a\u00a0b".encode(),
        "separators of Unicode": "X-Separated: a\u2028b\u2029c\u0085d".encode(),
        "ISO-2022-JP without encoded words": b"X-Jp: \x1b$BF|K\\8l\x1b(B",
        "UTF-7 without encoded words": b"X-7: Gr+APwA3w-e",
        "backslashes": b"X-Backslash: \\ \\\\ \\n \\",
        "percent signs": b"X-Percent: %0d%0aBcc: %s %n",
        "JSON": b'X-Json: {"a": ["b", {"c": "\\u00fc"}],\r\n "d": 1}',
    }


def _words() -> dict[str, bytes]:
    return {
        "an encoded word of 200 octets": b"X-Word: =?utf-8?q?" + b"a" * 180 + b"?=",
        "an encoded word within a word": b"X-Word: a=?utf-8?q?b?=c",
        "an encoded word that does not end": b"X-Word: =?utf-8?q?abc",
        "an encoded word of an unknown charset": b"X-Word: =?x-none?q?=FC?=",
        "an encoded word with blanks": b"X-Word: =?utf-8?q?a b c?=",
        "encoded words that divide a character": b"X-Word: =?utf-8?q?a=C3?= =?utf-8?q?=BC?=",
        "an encoded line end": b"X-Word: =?utf-8?q?a=0D=0ABcc:_x?=",
        "a language in an encoded word": b"X-Word: =?iso-8859-1*de?q?=FC?=",
        "question marks": b"X-Word: =? ?= =??=? ==?=",
        "an encoded word in quotes": b'Cc: "=?utf-8?q?=C3=BC?=" <al@dest.example>',
        "an encoded word in a comment": b"Cc: al@dest.example (=?utf-8?q?=C3=BC?=)",
    }


def _addresses() -> dict[str, bytes]:
    return {
        "a group": b"Cc: A Group: al@dest.example, bo@dest.example;",
        "an empty group": b"Cc: undisclosed-recipients:;",
        "groups and addresses": b"Cc: A:;, al@dest.example, B: bo@dest.example;",
        "semicolons": b"Cc: al@dest.example; bo@dest.example;",
        "commas without addresses": b"Cc: ,al@dest.example,, ,bo@dest.example,",
        "a source route": b"Cc: <@x.example,@y.example:al@dest.example>",
        "comments everywhere": b"Cc: (a)Al(b)<(c)al(d)@(e)dest.example(f)>(g)",
        "nested comments": b"Cc: al@dest.example (a (b (c \\) (d))))",
        "a quoted local part": b'Cc: "al <bo>, \\"x\\" @"@dest.example',
        "two dots": b"Cc: al..bo.@dest.example",
        "an address literal": b"Cc: al@[192.0.2.1], bo@[IPv6:2001:db8::1]",
        "a domain of Unicode": "Cc: al@größe.example".encode(),
        "a local part of Unicode": "Cc: größe@dest.example".encode(),
        "UTF-8 in names": 'Cc: "Größe, A" <al@dest.example>, Bö <bo@dest.example>'.encode(),
        "a phrase with dots": b"Cc: J. R. R. Doe <al@dest.example>",
        "no address at all": b"Cc: nobody we know",
        "unbalanced quotes": b'Cc: "al <al@dest.example>',
        "unbalanced brackets": b"Cc: <<al@dest.example>",
        "only Cc": b"cC:al@dest.example",
    }


def _authors() -> dict[str, bytes]:
    return {
        "a bare author": b"From: jo@sender.example",
        "a bare author in brackets": b"From: <jo@sender.example>",
        "two authors and a Sender": b"From: jo@sender.example, a@sender.example\r\nSender: b@c.d",
        "an author with a comma": b"From: Doe, Jo <jo@sender.example>",
        "an author with a comma at the end": b"From: jo@sender.example,",
        "an author in an old form": b'From: jo . "doe" @sender.example (Jo)',
        "an author with two dots": b"From: jo..doe@sender.example",
        "an author without blanks": b'FROM:"Jo"<jo@SENDER.EXAMPLE>',
        "an author of Unicode": "From: Größe 😀 <jo@sender.example>".encode(),
        "an author in Latin-1": b"From: Gr\xfc\xdfe <jo@sender.example>",
        "an author in encoded words": b"From: =?utf-8?q?=22J=40x.example=22?= <jo@sender.example>",
        "an author behind a blank": b"From : jo@sender.example",
    }


def _identification() -> dict[str, bytes]:
    return {
        "neither date nor identifier": b"X: 1",
        "empty date and identifier": b"Date:\r\nMessage-ID: ",
        "an old date": b"Date: 1 Mar 26 12:30 EST\r\nMessage-ID: <1@a>",
        "a date with comments": b"Date: Sun, (a) 1 Mar 2026 12:30 +0000 (b)\r\nMessage-ID: <1@a>",
        "a date of another language": "Date: So, 1 Mär 2026 12:30:00\r\nMessage-ID: <1@a>".encode(),
        "a date in ISO 8601": b"Date: 2026-03-01T12:30:00Z\r\nMessage-ID: <1@a>",
        "a day that is not": b"Date: Mon, 31 Feb 2026 12:30:00 +0000\r\nMessage-ID: <1@a>",
        "an identifier without brackets": b"Message-ID: 1@a\r\nDate: 1 Mar 2026 12:30:00 Z",
        "an identifier without @": b"Message-ID: <1>\r\nDate: 1 Mar 2026 12:30:00 Z",
        "two identifiers in one field": b"Message-ID: <1@a> <2@a>\r\nDate: 1 Mar 2026 12:30:00 Z",
        "an identifier in an old form": b'Message-ID: < "a b" . c @ d >\r\nDate: 1 Mar 26 12:30 Z',
        "a folded identifier": b"Message-ID:\r\n <1@a>\r\nDate:\r\n\t1 Mar 2026 12:30:00 Z",
        "an identifier in 8 bits": b"Message-ID: <\xfc@a>\r\nDate: 1 Mar 2026 12:30:00 Z",
    }
