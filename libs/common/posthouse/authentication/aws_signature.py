"""Requests that are signed as AWS asks for it (Signature Version 4), read without I/O.

The access key id is a user name, the secret access key that user's secret. What a signature covers
is made again of the request (the *canonical request*), and signed with the secret that is kept.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
MOST_SKEW = timedelta(minutes=5)  # of two clocks, as AWS has it

_SERVICE, _REQUEST = "ses", "aws4_request"
_PAYLOAD, _TOKEN = "x-amz-content-sha256", "x-amz-security-token"
_PARTS = ("Credential", "SignedHeaders", "Signature")
_PART = re.compile(r"([A-Za-z]+)=([^\s,]+)")
_HEX = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{8}T\d{6}Z")
_BLANKS = re.compile(r"[ \t]+")
_UNRESERVED = "-_.~"  # RFC 3986, beside letters and digits
# Strangers may let us make canonical requests, on the event loop: more would hold up all others.
_MOST_QUERY_OCTETS, _MOST_NAMES = 1_000, 100
_SHOWN = 80  # characters of a wrong value that are quoted back


class NoSignature(Exception):
    """A request that no secret can prove; the text says what was seen and what is allowed."""

    def __init__(self, name: str, text: str) -> None:
        """*name*: of the error, as AWS has it."""
        super().__init__(text)
        self.name = name


class Target(NamedTuple):
    """What is asked for: the first line of a request, and its header fields."""

    method: str
    path: str  # percent-encoded, as it was sent
    query: str
    fields: Mapping[str, str]  # names in lower case


class Signature(NamedTuple):
    """A signature, and what it is of."""

    username: str  # the access key id
    scope: str  # date, region, service
    time: str  # as X-Amz-Date has it
    signed: tuple[str, ...]  # names of fields, in their order
    given: str  # in hexadecimal
    payload: str  # SHA-256 of the body as the request tells it; "": it does not

    def proof(self, target: Target, payload: str) -> "SignedRequest":
        """What proves the caller of *target*, whose body has the SHA-256 *payload*."""
        digest = sha256(canonical_request(target, self.signed, payload)).hexdigest()
        text = f"{ALGORITHM}\n{self.time}\n{self.scope}\n{digest}"
        return SignedRequest(self.username, self.scope, text, self.given)


class SignedRequest(NamedTuple):
    """A proof that a caller knows the secret of a user."""

    username: str
    scope: str
    text: str  # that was signed
    signature: str

    def is_signed_with(self, secret: bytes) -> bool:
        """Whether it was made with *secret*; takes the same time either way."""
        return hmac.compare_digest(signed(self.text, self.scope, secret), self.signature)


def signature_of(target: Target, now: datetime) -> Signature:
    """The signature that came with *target*; raises NoSignature.

    All that can be judged without the secret is: its form, its time, and what it has to cover.
    """
    given = _parts(target)
    username, date, region, service, request = _scope(given["Credential"])
    time = target.fields.get("x-amz-date", "")
    _check_time(time, now)
    if (date, service, request) != (time[:8], _SERVICE, _REQUEST) or not region:
        raise NoSignature(
            "InvalidSignatureException",
            f"Credential {given['Credential'][:_SHOWN]!a} seen, "
            f"ID/{time[:8]}/REGION/{_SERVICE}/{_REQUEST} is allowed, with any region",
        )
    names = tuple(given["SignedHeaders"].split(";"))
    _check_signed(names, target.fields)
    scope = f"{date}/{region}/{service}/{request}"
    payload = target.fields.get(_PAYLOAD, "")
    return Signature(username, scope, time, names, given["Signature"], payload)


def _parts(target: Target) -> Mapping[str, str]:
    """What Authorization says, by name."""
    authorization = target.fields.get("authorization", "")
    if "x-amz-signature=" in target.query.lower():
        raise NoSignature(
            "IncompleteSignature", "A signature in the URL seen, one in Authorization is allowed"
        )
    if len(target.query) > _MOST_QUERY_OCTETS:
        raise NoSignature(
            "IncompleteSignature",
            f"A query of {len(target.query)} octets seen, {_MOST_QUERY_OCTETS} are allowed",
        )
    if not authorization:
        raise NoSignature("MissingAuthenticationTokenException", "Authorization is required")
    algorithm, blank, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        seen = f"{algorithm[:_SHOWN]!a}" if blank else "no algorithm"  # it may be a secret alone
        raise NoSignature("IncompleteSignature", f"{seen} seen, {ALGORITHM} is allowed")
    found = [_PART.fullmatch(part.strip()) for part in rest.split(",", len(_PARTS))]
    parts = {part[1]: part[2] for part in found if part}
    if len(found) != len(_PARTS) or parts.keys() != set(_PARTS):
        raise NoSignature(
            "IncompleteSignature", f"Authorization has to have {', '.join(_PARTS)}, each once"
        )
    if not _HEX.fullmatch(parts["Signature"]):
        raise NoSignature("IncompleteSignature", "Signature has to be 64 hexadecimal digits")
    return parts


def _scope(credential: str) -> Sequence[str]:
    """User name, date, region, service and what ends it; a user name may have slashes."""
    found = credential.rsplit("/", 4)
    if len(found) != 5:  # noqa: PLR2004 -- named above
        allowed = f"ID/DATE/REGION/{_SERVICE}/{_REQUEST}"
        raise NoSignature(
            "IncompleteSignature", f"Credential {credential[:_SHOWN]!a} seen, {allowed} is allowed"
        )
    return found


def _check_time(text: str, now: datetime) -> None:
    if not _TIME.fullmatch(text):
        raise NoSignature(
            "IncompleteSignature", f"X-Amz-Date {text[:_SHOWN]!a} seen, YYYYMMDDTHHMMSSZ is allowed"
        )
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise NoSignature("IncompleteSignature", f"X-Amz-Date {text!a} is no time") from error
    if abs(now - at) > MOST_SKEW:
        raise NoSignature(
            "InvalidSignatureException",
            f"Signature expired or not yet current: X-Amz-Date {text}, it is {now:%Y%m%dT%H%M%SZ} "
            f"here, and {MOST_SKEW.seconds // 60} minutes are allowed",
        )


def _check_signed(names: Sequence[str], fields: Mapping[str, str]) -> None:
    """Raise NoSignature unless all that says anything is covered, and is what we can check."""
    if len(names) > _MOST_NAMES:
        raise NoSignature(
            "IncompleteSignature",
            f"{len(names)} names in SignedHeaders seen, {_MOST_NAMES} are allowed",
        )
    if list(names) != sorted(set(names)):
        raise NoSignature(
            "IncompleteSignature", "SignedHeaders has to name each field once, in their order"
        )
    needed = {"host", "x-amz-date", *(name for name in fields if name.startswith("x-amz-"))}
    for missing in sorted(needed.difference(names)):
        raise NoSignature("IncompleteSignature", f"{missing} has to be in SignedHeaders")
    for missing in [name for name in names if name not in fields]:
        raise NoSignature(
            "IncompleteSignature", f"{missing[:_SHOWN]!a} is in SignedHeaders and not in the header"
        )
    if _TOKEN in fields:
        raise NoSignature(
            "UnrecognizedClientException",
            "X-Amz-Security-Token seen: there are no temporary credentials here, "
            "use a user and its secret",
        )
    if _PAYLOAD in fields and not _HEX.fullmatch(fields[_PAYLOAD]):
        raise NoSignature(
            "InvalidSignatureException",
            f"X-Amz-Content-Sha256 {fields[_PAYLOAD][:_SHOWN]!a} seen, "
            "the SHA-256 of the body in hexadecimal is allowed",
        )


def canonical_request(target: Target, signed_names: Sequence[str], payload: str) -> bytes:
    """What is signed of a request; *payload*: the SHA-256 of its body, in hexadecimal.

    A path is encoded once more than it came (only S3 is another matter). A field that was there
    twice is signed otherwise than it is read here, and so never right.
    """
    lines = (
        target.method,
        quote(target.path, safe="/" + _UNRESERVED, encoding="latin-1"),
        _canonical_query(target.query),
        *(f"{name}:{_trimmed(target.fields[name])}" for name in signed_names),
        "",
        ";".join(signed_names),
        payload,
    )
    return "\n".join(lines).encode("latin-1")


def _canonical_query(query: str) -> str:
    """Parameters in the order of their encoded names, then values."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    encoded = ((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("latin-1")), safe=_UNRESERVED)


def _trimmed(value: str) -> str:
    return _BLANKS.sub(" ", value.strip(" \t"))


def signed(text: str, scope: str, secret: bytes) -> str:
    """The signature of *text* with *secret*, in hexadecimal."""
    key = b"AWS4" + secret
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return hmac.digest(key, text.encode("latin-1"), "sha256").hex()
