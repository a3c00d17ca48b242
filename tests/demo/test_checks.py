"""The demo's checks fail when what they claim is not so."""

from base64 import b64encode

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demo.application import Accepted, DemoMessage
from demo.checks import is_finished, kinds, overtaking, signatures
from posthouse.mail.dkim_key import Algorithm, SigningKey, check, record
from posthouse.mail.lane import Lane
from posthouse.running.keys import generate

TEXT = b"From: a@x.example\r\nTo: b@y.example\r\nSubject: x\r\n\r\nhello\r\n"


def accepted(lane: Lane, name: str, at: float) -> Accepted:
    return Accepted(DemoMessage(lane, (name,), name), name, at)


BULK = [accepted(Lane.BULK, f"bulk{n}", 0.0) for n in range(100)]
ALERT = accepted(Lane.VERY_HIGH, "alert", 10.0)


@pytest.mark.parametrize(
    ("alert_starts", "bulk_starts", "holds"),
    [
        # Bulk went on until the alert came, and after it.
        (10.1, [*(n * 0.25 for n in range(40)), *(10.2 + n for n in range(60))], True),
        # The bulk was through before, or nearly: nothing was shown.
        (10.1, [n * 0.104 for n in range(100)], False),
        # A few went on until the alert was prepared, on a busy machine.
        (12.0, [*(9.0 for _ in range(20)), *(11.0 for _ in range(9)), *([13.0] * 71)], True),
        # Most of the bulk that waited started before the alert.
        (12.0, [*(9.0 for _ in range(20)), *(11.0 for _ in range(41)), *([13.0] * 39)], False),
    ],
)
def test_overtaking_is_seen_only_where_it_happened(
    alert_starts: float, bulk_starts: list[float], holds: bool
) -> None:
    started = {f"bulk{n}": at for n, at in enumerate(bulk_starts)} | {"alert": alert_starts}
    assert overtaking(BULK, [ALERT], started).holds is holds


def test_a_message_that_never_came_fails_the_check() -> None:
    started = {f"bulk{n}": 20.0 for n in range(100)}
    result = overtaking(BULK, [ALERT], started)
    assert not result.holds
    assert "1 messages never came" in result.seen


def signed(text: bytes) -> tuple[bytes, dict[str, str]]:
    """*text* with both signatures, made by dkimpy; and the records to check them."""
    published = {}
    for algorithm in Algorithm:
        pkcs8 = generate(algorithm)
        selector = algorithm.partition("-")[0]
        published[f"{selector}._domainkey.x.example"] = record(check(algorithm, pkcs8))
        text = _sign(text, selector, algorithm, pkcs8) + text
    return text, published


def _sign(text: bytes, selector: str, algorithm: Algorithm, pkcs8: bytes) -> bytes:
    private = SigningKey.load("x.example", selector, algorithm, pkcs8).private
    if algorithm is Algorithm.RSA:
        key = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    else:
        key = b64encode(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    signature: bytes = dkim.sign(
        text,
        selector.encode(),
        b"x.example",
        key,
        signature_algorithm=algorithm.encode(),
        include_headers=[b"From", b"Subject"],
    )
    return signature


def test_signatures_hold_only_for_what_was_signed() -> None:
    message, published = signed(TEXT)
    assert signatures(message, published).holds
    assert not signatures(message.replace(b"hello", b"hollo"), published).holds
    assert not signatures(message, {}).holds
    assert not signatures(TEXT, published).holds


def test_a_timeline_is_read_by_recipient() -> None:
    timeline = {
        "deliveries": [{"id": "1", "recipient": "a@y.example", "due_at": None}],
        "events": [
            {"kind": "prepared", "delivery_id": None, "detail": {}},
            {"kind": "suppressed", "delivery_id": None, "detail": {"recipient": "b@y.example"}},
            {"kind": "bounced", "delivery_id": "1", "detail": None},
        ],
    }
    assert kinds(timeline, "bounced") == {"a@y.example"}
    assert kinds(timeline, "suppressed") == {"b@y.example"}
    assert is_finished(timeline)
    assert not is_finished({"deliveries": [], "events": []})
