"""What may be chosen for an endpoint."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from posthouse.webhooks.public_kinds import PUBLIC_KINDS

_MOST_OCTETS_OF_URL: Final = 2_000
_MOST_FIELDS: Final = 20
_MOST_OCTETS_OF_FIELD: Final = 4_000
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110 section 5.6.2
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
# What a request needs to be one, or that says what it is.
_OWN: Final = frozenset(
    {
        *("host", "content-length", "content-type", "transfer-encoding", "connection", "te"),
        *("expect", "upgrade", "trailer", "keep-alive", "content-encoding", "accept-encoding"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    }
)


class UnusableWebhook(ValueError):
    """The text says what was seen and what is allowed."""


def checked_url(url: str, *, allow_http: bool) -> str:
    """*url*, if requests may go there as far as can be seen. Raises UnusableWebhook."""
    schemes = ("https", "http") if allow_http else ("https",)
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if (
        not has_host
        or parts.scheme not in schemes
        or "@" in parts.netloc
        or parts.fragment
        or not re.fullmatch(r"[!-~]+", url)
        or "\\" in url
        or len(url) > _MOST_OCTETS_OF_URL
    ):
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        raise UnusableWebhook(
            f"{url[:100]!r} is not a URL of an endpoint: {allowed}, a host, and no user, no "
            f"fragment and no blanks, at most {_MOST_OCTETS_OF_URL} characters"
        )
    return url


def checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """*kinds* of events, with or without "message." before them. Raises UnusableWebhook."""
    found = tuple(dict.fromkeys(kind.removeprefix("message.") for kind in kinds))
    for kind in found:
        if kind not in PUBLIC_KINDS:
            raise UnusableWebhook(
                f"{kind[:100]!r} is no kind of event; there is: {', '.join(PUBLIC_KINDS)}"
            )
    return found


def basic_authorization(user: str, password: str) -> str:
    """The value of Authorization (RFC 7617)."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def stored_fields(fields: Mapping[str, str]) -> bytes:
    """Header fields of every request, as they are sealed. Raises UnusableWebhook."""
    if len(fields) > _MOST_FIELDS:
        raise UnusableWebhook(f"{len(fields)} header fields seen, at most {_MOST_FIELDS} allowed")
    for name, value in fields.items():
        if not _NAME.fullmatch(name) or name.lower() in _OWN:
            raise UnusableWebhook(
                f"{name[:100]!r} is not a header field that may be set; those of a request itself "
                "and of its signature are not"
            )
        if not _VALUE.fullmatch(value) or len(value) > _MOST_OCTETS_OF_FIELD:
            raise UnusableWebhook(
                f"the value of {name} should be printable ASCII, at most "
                f"{_MOST_OCTETS_OF_FIELD} characters"
            )
    return msgspec.json.encode(fields)
