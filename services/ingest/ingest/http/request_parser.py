"""Octets of one HTTP connection, read as requests that come one after the other; without sockets.

llhttp reads them, and reads them strictly: what two servers may read in two ways (a length beside
chunks, lines that end in LF, folded fields) is refused, and the connection with it. So is a request
before the answer to the one before: no client needs that, and smuggling does (RFC 9112 sections
9.3.2 and 11.2).
"""

from collections.abc import Mapping
from typing import NamedTuple

import httptools

_VERSIONS = ("1.0", "1.1")
_SHOWN = 80  # characters of a wrong value that are quoted back


class RequestHead(NamedTuple):
    """A request, without its body."""

    method: str
    path: str  # as it was sent, percent-encoded
    query: str
    fields: Mapping[str, str]  # names in lower case; several of one name joined by ", "
    octets: int | None  # of the body, where they are told before


class BadRequest(Exception):
    """What came is no request, or one that is not taken; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RequestParser:
    """Reads one request at a time; `begin` makes ready for the next."""

    def __init__(self, head_octets: int) -> None:
        """*head_octets*: how many the line and the fields of a request may have."""
        self._most_head_octets = head_octets
        self._parser = httptools.HttpRequestParser(self)
        self.keeps = True  # another request may follow
        self.begin()

    def begin(self) -> None:
        """Forget the request; its answer was sent."""
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._unparsed = 0  # octets of the body to come, of a request for an upgrade
        self.head_octets = 0  # that have come
        self.head: RequestHead | None = None
        self.pieces: list[bytes] = []  # of the body, not taken yet
        self.unread = 0  # octets in them
        self.received = 0  # octets of the body
        self.complete = False
        self.bad: BadRequest | None = None

    def close(self) -> None:
        """No more comes. It refers to us: an object that only the collector would find."""
        del self._parser

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        octets = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.unread = 0
        return octets

    def feed(self, data: bytes) -> None:
        """Read what came."""
        if self.bad is not None:
            return
        if self.complete:
            self.keeps = False
        elif self._unparsed:
            self._take_unparsed(data)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self.head is None:
            self.head_octets += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except (httptools.HttpParserError, httptools.HttpParserInvalidURLError) as error:
            self.refuse(400, f"This is no HTTP/1.1 request: {error}")
        if self.head is None and self.head_octets > self._most_head_octets:
            limit = self._most_head_octets
            self.refuse(431, f"The header of the request has more than {limit} octets")

    def refuse(self, status: int, text: str) -> None:
        """Read no more of the connection."""
        self.bad = self.bad or BadRequest(status, text)
        self.keeps = False

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on as if none was asked for, as a server may (RFC 9110 section 7.8).

        The parser reads no body then. Java's client asks for HTTP/2 so with its first request.
        """
        self.keeps = False
        if self.head is None or self.bad is not None:
            return
        if self.head.octets is None:
            self.refuse(501, "Upgrade is not supported beside chunks: ask for HTTP/1.1")
            return
        self._unparsed = self.head.octets
        self.complete = False
        self._take_unparsed(rest)

    def _take_unparsed(self, data: bytes) -> None:
        body = data[: self._unparsed]
        self._unparsed -= len(body)
        if body:
            self.on_body(body)
        self.complete = not self._unparsed

    # For the library.

    @property
    def _is_early(self) -> bool:
        """Whether what comes belongs to a request before the answer to the one before."""
        return self.complete or self.bad is not None

    def on_message_begin(self) -> None:
        """Note a request that comes too early."""
        if self._is_early:
            self.keeps = False

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        if not self._is_early:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; those behind a body mean nothing to us."""
        if self.head is None and not self._is_early:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Make the head."""
        if self._is_early:
            return
        try:
            self.head = self._read_head()
        except BadRequest as error:
            self.refuse(error.status, str(error))
        self.keeps = self.keeps and self._parser.should_keep_alive()

    def _read_head(self) -> RequestHead:
        fields: dict[str, str] = {}
        for name, value in self._fields:
            key, text = name.decode("ascii").lower(), value.decode("latin-1").strip(" \t")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
        hosts = sum(name.lower() == b"host" for name, _ in self._fields)
        _check(self._parser.get_http_version(), fields, hosts)
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError:
            raise BadRequest(400, "The target of the request is malformed") from None
        return RequestHead(
            self._parser.get_method().decode("ascii"),
            (url.path or b"/").decode("latin-1"),
            (url.query or b"").decode("latin-1"),
            fields,
            None if "transfer-encoding" in fields else int(fields.get("content-length", 0)),
        )

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._is_early:
            self.pieces.append(body)
            self.unread += len(body)
            self.received += len(body)

    def on_message_complete(self) -> None:
        """Note that all of the request is there."""
        self.complete = self.head is not None


def _check(version: str, fields: Mapping[str, str], hosts: int) -> None:
    """Raise BadRequest for what the library takes and we do not."""
    if version not in _VERSIONS:
        raise BadRequest(505, f"HTTP/{version} seen, HTTP/1.1 is spoken here")
    if version == "1.1" and hosts != 1:
        raise BadRequest(400, f"{hosts} Host fields seen, one is required")
    coding = fields.get("transfer-encoding")
    if coding is not None and (coding.lower() != "chunked" or version == "1.0"):
        raise BadRequest(501, f"Transfer-Encoding {coding[:_SHOWN]!a} seen, chunked is allowed")
    expected = fields.get("expect", "100-continue")
    if expected.lower() != "100-continue":
        raise BadRequest(417, f"Expect {expected[:_SHOWN]!a} seen, 100-continue is allowed")
