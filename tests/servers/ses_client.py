"""A client of Amazon SES, which signs its requests, and what it sends."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from posthouse.authentication.aws_signature import Target, canonical_request, signed
from posthouse.mail.secret import NONCE_OCTETS, seal
from servers.door import SEALING, SECRET
from servers.http_door import CALLER, Answer, HttpWireClient

SEND = "/v2/email/outbound-emails"

# Its secret is kept sealed, as signatures need it.
SES_CALLER = replace(CALLER, sealed=seal(SECRET.encode(), SEALING, b"n" * NONCE_OCTETS))


def b64(octets: bytes) -> str:
    """As JSON has octets."""
    return base64.b64encode(octets).decode()


def simple(**more: Any) -> dict[str, Any]:
    """Content of that kind, with *more*."""
    return {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}, **more}}


def raw(header: str = "From: jo@a.example\r\nTo: x@there.example\r\n") -> dict[str, Any]:
    """Content of that kind."""
    return {"Raw": {"Data": b64(f"{header}\r\nhi\r\n".encode())}}


BASE: dict[str, Any] = {
    "FromEmailAddress": "jo@a.example",
    "Destination": {"ToAddresses": ["x@there.example"]},
    "Content": simple(),
}


def signed_fields(
    method: str,
    path: str,
    body: bytes,
    *,
    username: str = "user",
    secret: str = SECRET,
    now: datetime | None = None,
    **fields: str,
) -> dict[str, str]:
    """The fields of a request, with a signature; *fields*, with _ for -, are covered by it."""
    time = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{time[:8]}/eu-west-1/ses/aws4_request"
    given = {
        "host": "localhost",
        "x-amz-date": time,
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    names = sorted(given)
    payload = given.get("x-amz-content-sha256") or sha256(body).hexdigest()
    request = canonical_request(Target(method, path, "", given), names, payload)
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{sha256(request).hexdigest()}"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={username}/{scope}, SignedHeaders={';'.join(names)}, "
        f"Signature={signed(text, scope, secret.encode())}"
    )
    return {"Host": "", **given, "Authorization": authorization}


async def send_email(client: HttpWireClient, value: Any, more: Any = None, **how: Any) -> Answer:
    """Call SendEmail with *value*; *more*: fields that are not signed; *how*: `signed_fields`."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    fields = signed_fields("POST", SEND, body, **how)
    return await client.request("POST", SEND, body, {**fields, **(more or {})})
