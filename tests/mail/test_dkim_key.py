"""DKIM keys: read, checked, published, refused when they are no good."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from posthouse.mail.dkim_key import (
    Algorithm,
    BrokenKey,
    SigningKey,
    check,
    from_pem,
    record,
    strings,
    zone_text,
)
from posthouse.running.keys import generate
from servers.rsa_keys import rsa_key

RSA, ED25519 = rsa_key(), generate(Algorithm.ED25519)


def pkcs8(key: object, encoding: Encoding = Encoding.DER) -> bytes:
    assert hasattr(key, "private_bytes")
    octets = key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
    assert isinstance(octets, bytes)
    return octets


def test_an_rsa_key_signs_what_its_public_half_verifies() -> None:
    key = SigningKey.load("sender.example", "s1", "rsa-sha256", RSA)
    assert isinstance(key.private, RSAPrivateKey)
    public = key.private.public_key()

    public.verify(key.sign(b"data"), b"data", PKCS1v15(), SHA256())
    assert public.key_size == 2048
    with pytest.raises(InvalidSignature):
        public.verify(key.sign(b"data"), b"other", PKCS1v15(), SHA256())


def damaged(**parts: int) -> bytes:
    """RSA, with other numbers in place of some of its own."""
    loaded = load_der_private_key(RSA, None)
    assert isinstance(loaded, RSAPrivateKey)
    n = loaded.private_numbers()
    own = {name: getattr(n, name) for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp")}
    numbers = RSAPrivateNumbers(
        **{name: own[name] ^ parts.get(name, 0) for name in own}, public_numbers=n.public_numbers
    )
    return pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def test_an_rsa_key_whose_parts_do_not_fit_is_not_loaded() -> None:
    """Its arithmetic is checked only when it is made or imported; that it signs wrongly shows."""
    with pytest.raises(BrokenKey, match=r"s1\._domainkey\.sender\.example signs what does not"):
        SigningKey.load("sender.example", "s1", "rsa-sha256", damaged(d=2, dmp1=2))


@pytest.mark.parametrize("part", ["dmp1", "dmq1", "iqmp"])
def test_a_fault_in_half_of_the_operation_gives_no_wrong_signature(part: str) -> None:
    """What `SigningKey.sign` trusts OpenSSL with: it checks, and computes again without halves."""
    key = SigningKey.load("sender.example", "s1", "rsa-sha256", damaged(**{part: 2}))

    public = check("rsa-sha256", RSA)

    assert isinstance(public, RSAPublicKey)
    public.verify(key.sign(b"data"), b"data", PKCS1v15(), SHA256())


@pytest.mark.parametrize(
    ("algorithm", "octets", "why"),
    [
        ("rsa-sha256", b"", "cannot be read"),
        ("rsa-sha256", b"\0" * 100, "cannot be read"),
        ("rsa-sha256", RSA[:-20], "cannot be read"),
        ("rsa-sha256", ED25519, "no rsa-sha256 key"),
        ("ed25519-sha256", RSA, "no ed25519-sha256 key"),
        ("rsa-sha1", RSA, "cannot be read"),
        ("rsa-sha256", pkcs8(generate_ec(SECP256R1())), "no rsa-sha256 key"),
    ],
    # The octets differ from run to run; names must not, or tests cannot be spread over processes.
    ids=["empty", "zeros", "cut-off", "other-kind", "rsa-for-ed25519", "unknown", "unsupported"],
)
def test_octets_that_are_no_key_are_refused_by_name(
    algorithm: str, octets: bytes, why: str
) -> None:
    with pytest.raises(BrokenKey, match=f"s1._domainkey.sender.example.*{why}"):
        SigningKey.load("sender.example", "s1", algorithm, octets)
    with pytest.raises(BrokenKey):
        check(algorithm, octets)


def test_the_check_before_storing_does_the_arithmetic() -> None:
    with pytest.raises(BrokenKey):
        check("rsa-sha256", damaged(d=2))


def test_a_key_in_an_operators_file_is_recognised() -> None:
    for algorithm, octets in ((Algorithm.RSA, RSA), (Algorithm.ED25519, ED25519)):
        pem = pkcs8(load_der_private_key(octets, None), Encoding.PEM)

        assert from_pem(pem) == (algorithm, octets)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\n",
        pkcs8(generate_ec(SECP256R1()), Encoding.PEM),
    ],
)
def test_a_file_without_a_usable_key_is_refused(pem: bytes) -> None:
    with pytest.raises(BrokenKey):
        from_pem(pem)


def test_a_record_is_one_line_of_tags() -> None:
    assert record(check("rsa-sha256", RSA)).startswith("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0B")
    ed25519 = record(check("ed25519-sha256", ED25519))

    assert ed25519.startswith("v=DKIM1; k=ed25519; p=")
    assert len(ed25519) == len("v=DKIM1; k=ed25519; p=") + 44


def test_a_long_record_is_cut_into_strings_that_receivers_join() -> None:
    text = record(check("rsa-sha256", RSA))

    assert "".join(strings(text)) == text
    assert [len(string) for string in strings(text)] == [255, len(text) - 255]
    assert zone_text(text) == f'"{text[:255]}" "{text[255:]}"'
