"""POSTHOUSE_ROUTES with a login: the secret is in a file, and never shown."""

import pickle
from pathlib import Path

import pytest

from dispatcher.core.relay_login import RelayLogin
from dispatcher.settings import DispatcherSettings
from posthouse.running.settings import SettingsError, effective, load

NEEDED = {
    "POSTHOUSE_DATABASE_URL": "postgresql://localhost/x",
    "POSTHOUSE_BROKER_URL": "amqp://localhost",
}


def loaded(routes: str) -> DispatcherSettings:
    return load(DispatcherSettings, {**NEEDED, "POSTHOUSE_ROUTES": routes})


def test_the_secret_is_read_from_its_file_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("open-sesame\n")

    settings = loaded(f"relay.example:587;user=apikey;secret_file={file}")

    hop = settings.routes.smarthost
    assert hop is not None
    assert hop.login == RelayLogin("apikey", "open-sesame")
    assert "open-sesame" not in f"{effective(settings)} {settings!r} {settings}"
    assert str(file) in effective(settings)["POSTHOUSE_ROUTES"]
    again = pickle.loads(pickle.dumps(settings))  # noqa: S301 -- as a process of its own gets them
    assert again.routes == settings.routes


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for file, reason in ((tmp_path / "gone", "No such file"), (empty, "is empty")):
        with pytest.raises(SettingsError, match=f"{file}.*{reason}"):
            loaded(f"relay.example:587;user=apikey;secret_file={file}")


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        loaded("relay.example:587;user=apikey;secret=hunter2")

    assert caught.value.mistakes == (
        "POSTHOUSE_ROUTES: 'relay.example:587': 'secret' is none of user, secret_file, tls",
    )


def test_other_mistakes_are_quoted_as_before() -> None:
    with pytest.raises(SettingsError, match="POSTHOUSE_ROUTES is 'host:0'"):
        loaded("host:0")
