"""Requests that are signed as AWS asks for it; what botocore signs is in aws_requests.json."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from posthouse.authentication.aws_signature import NoSignature, SignedRequest, Target, signature_of

REQUESTS = json.loads(Path(__file__).with_name("aws_requests.json").read_text())
NOW = datetime(2026, 11, 30, 10, 58, tzinfo=UTC)
FIRST = REQUESTS[0]


def target(given: Any = FIRST, authorization: str | None = None, **fields: str) -> Target:
    """The request, with *fields* changed; "" takes one away."""
    names = ";".join(sorted(given["fields"]))
    date = given["fields"]["x-amz-date"][:8]
    scope = f"{given['username']}/{date}/{given['region']}/ses/aws4_request"
    signed = (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, "
        f"Signature={given['signature']}"
    )
    changed = {name.replace("_", "-"): text for name, text in fields.items()}
    found = {**given["fields"], "authorization": authorization or signed, **changed}
    # As octets come: whoever wrote them in UTF-8.
    read = {name: text.encode().decode("latin-1") for name, text in found.items() if text}
    return Target(given["method"], given["path"], given["query"], read)


def proof(target: Target, body: str) -> SignedRequest:
    return signature_of(target, NOW).proof(target, sha256(body.encode()).hexdigest())


@pytest.mark.parametrize("given", REQUESTS, ids=[one["name"] for one in REQUESTS])
def test_what_botocore_signs_is_proven_by_its_secret_alone(given: Any) -> None:
    shown = proof(target(given), given["body"])

    assert shown.username == given["username"]
    assert shown.is_signed_with(given["secret"].encode())
    assert not shown.is_signed_with(given["secret"].encode() + b"x")


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"path": "/v2/email/outbound-email"},
        {"query": "a=1"},
        {"body": '{"Content": {} }'},
        {"region": "eu-west-2"},
        {"fields": {**FIRST["fields"], "host": "other.example.com"}},
        {"fields": {**FIRST["fields"], "content-type": "application/xml"}},
        {"fields": {**FIRST["fields"], "x-amz-date": "20261130T105801Z"}},
    ],
)
def test_whatever_is_signed_cannot_be_changed(changed: dict[str, Any]) -> None:
    given = {**FIRST, **changed}

    assert not proof(target(given), given["body"]).is_signed_with(FIRST["secret"].encode())


def test_a_field_that_is_not_signed_may_be_added_on_the_way() -> None:
    given = target(via="1.1 proxy")

    assert proof(
        given._replace(fields={**given.fields, "authorization": target().fields["authorization"]}),
        FIRST["body"],
    ).is_signed_with(FIRST["secret"].encode())


SIGNED = target().fields["authorization"]


@pytest.mark.parametrize(
    ("given", "name", "said"),
    [
        (target(authorization="the-secret"), "IncompleteSignature", "no algorithm seen, AWS4-HMAC"),
        (target(authorization="Bearer x"), "IncompleteSignature", "'Bearer' seen, AWS4-HMAC"),
        (
            target(authorization=SIGNED.replace("HMAC", "ECDSA-P256")),
            "IncompleteSignature",
            "'AWS4-ECDSA-P256-SHA256' seen",
        ),
        (
            target()._replace(fields={}),
            "MissingAuthenticationTokenException",
            "Authorization is required",
        ),
        (
            target()._replace(query="X-Amz-Signature=ab", fields={}),
            "IncompleteSignature",
            "A signature in the URL seen",
        ),
        (
            target(authorization=SIGNED.replace("Signature=", "Sig=")),
            "IncompleteSignature",
            "Credential, SignedHeaders, Signature, each once",
        ),
        (target(authorization=SIGNED + ", Signature=aa"), "IncompleteSignature", "each once"),
        (
            target()._replace(query="a&" * 501),
            "IncompleteSignature",
            "A query of 1002 octets seen, 1000 are allowed",
        ),
        (
            target(authorization=SIGNED.replace("content-type", ";".join(["a"] * 101))),
            "IncompleteSignature",
            "103 names in SignedHeaders seen, 100 are allowed",
        ),
        (target(authorization=SIGNED[:-1]), "IncompleteSignature", "64 hexadecimal digits"),
        (target(authorization=SIGNED[:-1] + "é"), "IncompleteSignature", "64 hexadecimal digits"),
        (
            target(authorization=SIGNED.replace("/aws4_request", "")),
            "IncompleteSignature",
            "ID/DATE/REGION/ses/aws4_request is allowed",
        ),
        (
            target(authorization=SIGNED.replace("/ses/", "/s3/")),
            "InvalidSignatureException",
            "ID/20261130/REGION/ses/aws4_request is allowed",
        ),
        (
            target(authorization=SIGNED.replace("/20261130/", "/20261129/")),
            "InvalidSignatureException",
            "ID/20261130/REGION",
        ),
        (
            target(authorization=SIGNED.replace("/eu-west-1/", "//")),
            "InvalidSignatureException",
            "with any region",
        ),
        (target(x_amz_date=""), "IncompleteSignature", "X-Amz-Date '' seen"),
        (target(x_amz_date="20261130"), "IncompleteSignature", "YYYYMMDDTHHMMSSZ is allowed"),
        (target(x_amz_date="20261330T105800Z"), "IncompleteSignature", "is no time"),
        (
            target(authorization=SIGNED.replace("content-type;host", "content-type")),
            "IncompleteSignature",
            "host has to be in SignedHeaders",
        ),
        (
            target(authorization=SIGNED.replace(";x-amz-date", "")),
            "IncompleteSignature",
            "x-amz-date has to be in SignedHeaders",
        ),
        (target(x_amz_meta="1"), "IncompleteSignature", "x-amz-meta has to be in SignedHeaders"),
        (target(content_type=""), "IncompleteSignature", "'content-type' is in SignedHeaders and"),
        (
            target(authorization=SIGNED.replace("content-type;host", "host;content-type")),
            "IncompleteSignature",
            "each field once, in their order",
        ),
        (
            target(authorization=SIGNED.replace("content-type;host", "host;host")),
            "IncompleteSignature",
            "each field once",
        ),
        (
            target({**FIRST, "fields": {**FIRST["fields"], "x-amz-security-token": "t"}}),
            "UnrecognizedClientException",
            "no temporary credentials",
        ),
        (
            target(
                {**FIRST, "fields": {**FIRST["fields"], "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}
            ),
            "InvalidSignatureException",
            "'UNSIGNED-PAYLOAD' seen",
        ),
    ],
)
def test_what_no_secret_can_prove_is_refused_and_why(given: Target, name: str, said: str) -> None:
    with pytest.raises(NoSignature, match=r".") as refused:
        signature_of(given, NOW)

    assert refused.value.name == name
    assert said in str(refused.value)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert signature_of(target(), now).username == FIRST["username"]

    with pytest.raises(NoSignature, match="5 minutes are allowed") as refused:
        signature_of(target(), now + timedelta(seconds=seconds // 300))
    assert refused.value.name == "InvalidSignatureException"


def test_the_payload_that_a_request_tells_is_read() -> None:
    digest = sha256(b"x").hexdigest()
    given = {**FIRST, "fields": {**FIRST["fields"], "x-amz-content-sha256": digest}}

    assert signature_of(target(given), NOW).payload == digest
    assert signature_of(target(), NOW).payload == ""
