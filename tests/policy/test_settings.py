"""What policy can be told, and what becomes of it."""

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policy.settings import PolicySettings
from policy.wiring import relay
from posthouse.mail.dkim_key import Algorithm
from posthouse.running.settings import SettingsError, load

GIVEN = {
    "POSTHOUSE_DATABASE_URL": "postgresql://localhost/x",
    "POSTHOUSE_BROKER_URL": "amqp://localhost",
    "POSTHOUSE_SECRET_KEY": b64encode(b"k" * 32).decode(),
    "POSTHOUSE_HOSTNAME": "relay.example",
}
PEM = (
    Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


def test_by_default_bounces_come_to_this_host_and_the_relay_signs_nothing() -> None:
    made = relay(load(PolicySettings, GIVEN), b"k" * 32)

    assert made.own.return_path_host == "relay.example"
    assert made.own.keys == ()


def test_a_relay_key_from_a_file_signs_for_the_relays_domain(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    settings = load(
        PolicySettings,
        GIVEN
        | {
            "POSTHOUSE_RELAY_DKIM_DOMAIN": "signing.example",
            "POSTHOUSE_RELAY_DKIM_KEY_FILE": str(tmp_path / "key.pem"),
            "POSTHOUSE_RETURN_PATH_HOST": "bounce.example",
        },
    )
    made = relay(settings, b"k" * 32)

    [key] = made.own.keys
    assert (key.domain, key.selector) == ("signing.example", "posthouse")
    assert key.algorithm is Algorithm.ED25519
    assert made.own.return_path_host == "bounce.example"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"POSTHOUSE_RELAY_DKIM_DOMAIN": "x.example"}, "are set together or not at all"),
        ({"POSTHOUSE_RELAY_DKIM_KEY": PEM}, "are set together or not at all"),
        (
            {"POSTHOUSE_RELAY_DKIM_DOMAIN": "x.example", "POSTHOUSE_RELAY_DKIM_KEY": "no key"},
            "no private key in PEM",
        ),
        ({"POSTHOUSE_RETURN_PATH_HOST": "b@x.example"}, "POSTHOUSE_RETURN_PATH_HOST"),
    ],
)
def test_a_mistake_is_said_by_name_and_without_the_key(more: dict[str, str], why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PolicySettings, GIVEN | more)

    assert why in str(caught.value)
    assert "no key" not in str(caught.value)
    assert PEM[30:60] not in str(caught.value)
