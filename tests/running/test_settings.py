"""Settings come from the environment, whole or not at all."""

import base64
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import ValidationError

from posthouse.running.common_settings import (
    Common,
    EndpointSetting,
    LogLevel,
    Separated,
    WithDatabase,
    WithSecretKey,
)
from posthouse.running.settings import SettingsError, describe, effective, load, names
from posthouse.running.tcp import Endpoint

KEY = base64.b64encode(bytes(range(32))).decode()
URL = "postgresql://mail:hunter2@db.example/mail?sslmode=require"


class Example(Common, WithDatabase, WithSecretKey):
    """A service's settings."""

    listen: EndpointSetting = Endpoint("127.0.0.1", 2525)
    """Where clients come in."""

    subject: str
    """What to say."""

    lanes: Annotated[tuple[int, ...], Separated] = (1, 2)
    """Lanes to serve."""


def given(**more: str) -> dict[str, str]:
    needed = {"POSTHOUSE_DATABASE_URL": URL, "POSTHOUSE_SECRET_KEY": KEY, "POSTHOUSE_SUBJECT": "x"}
    return {**needed, **{f"POSTHOUSE_{name}": value for name, value in more.items()}}


def mistakes(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(Example, environ)
    return caught.value.mistakes


def test_values_are_converted() -> None:
    settings = load(Example, given(LISTEN="[::1]:25", LANES="3, 4,5", LOG_LEVEL="debug"))

    assert settings.listen == Endpoint("::1", 25)
    assert settings.lanes == (3, 4, 5)
    assert settings.log_level is LogLevel.DEBUG
    assert settings.secret_key.get_secret_value() == bytes(range(32))
    assert settings.database_url.get_secret_value() == URL


def test_settings_do_not_change() -> None:
    settings = load(Example, given())

    with pytest.raises(ValidationError):
        settings.hostname = "other"


def test_every_mistake_is_reported_at_once_by_variable_name() -> None:
    seen = mistakes(
        {
            "POSTHOUSE_DATABASE_URL_FILE": "/none",
            "POSTHOUSE_LISTEN": "2525",
            "POSTHOUSE_LANES": "1,x",
            "POSTHOUSE_LOG_LEVEL": "loud",
            "POSTHOUSE_GRACE_SECONDS": "-1",
            "POSTHOUSE_LOGLEVEL": "info",
            "POSTHOUSE_SECRET_KEY": KEY,
        }
    )

    assert seen == (
        "POSTHOUSE_DATABASE_URL_FILE is '/none': cannot be read (No such file or directory)",
        "POSTHOUSE_GRACE_SECONDS is '-1': should be greater than or equal to 0",
        "POSTHOUSE_LANES is 'x': should be a valid integer, unable to parse string as an integer",
        "POSTHOUSE_LISTEN is '2525': '2525' is not HOST:PORT, such as 127.0.0.1:2525 or [::1]:2525",
        "POSTHOUSE_LOGLEVEL is not a setting: is POSTHOUSE_LOG_LEVEL meant?",
        "POSTHOUSE_LOG_LEVEL is 'loud': should be 'debug', 'info', 'warning' or 'error'",
        "POSTHOUSE_SUBJECT is not set: What to say.",
    )


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    environ = given(DATABASE_URL="", DATABASE_URL_FILE=str(file))

    assert load(Example, environ).database_url.get_secret_value() == URL


def test_a_secret_given_twice_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(URL)

    assert mistakes(given(DATABASE_URL_FILE=str(file))) == (
        "POSTHOUSE_DATABASE_URL and POSTHOUSE_DATABASE_URL_FILE are both set: give one of them",
    )


def test_an_empty_secret_file_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("\n")

    assert mistakes(given(DATABASE_URL="", DATABASE_URL_FILE=str(file))) == (
        f"POSTHOUSE_DATABASE_URL_FILE is {str(file)!r}: the file is empty",
    )


def test_what_is_no_secret_has_no_file_form() -> None:
    assert mistakes(given(HOSTNAME_FILE="/etc/hostname")) == (
        "POSTHOUSE_HOSTNAME_FILE is not a setting: is POSTHOUSE_HOSTNAME meant?",
    )


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("not base64", "should be base64, as `openssl rand -base64 32` prints it"),
        (base64.b64encode(b"short").decode(), "is 5 bytes long, should be at least 32"),
    ],
)
def test_a_bad_secret_is_named_but_not_shown(key: str, complaint: str) -> None:
    assert mistakes(given(SECRET_KEY=key)) == (f"POSTHOUSE_SECRET_KEY: {complaint}",)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load(Example, given(LOG_LEVEL="")).log_level is LogLevel.INFO


def test_what_another_program_of_the_product_reads_is_no_mistake() -> None:
    class Other(Common):
        route: str = ""

    environ = given(ROUTE="127.0.0.1:2600")

    assert len(mistakes(environ)) == 1
    assert load(Example, environ, also_known=lambda: names(Other))


def test_other_programs_are_not_asked_for_when_no_name_is_strange() -> None:
    def must_not_be_called() -> frozenset[str]:
        raise AssertionError("every name is the program's own")

    assert load(Example, given(), also_known=must_not_be_called)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTHOUSE_INGEST_SERVICE_HOST", "10.0.0.1"),
        ("POSTHOUSE_SERVICE_PORT_SMTP", "587"),
        ("POSTHOUSE_INGEST_PORT", "tcp://10.0.0.1:587"),
        ("POSTHOUSE_PORT_587_TCP_ADDR", "10.0.0.1"),
        ("POSTHOUSE_TEST_AMQP_URL", "amqp://x"),
        ("POSTHOUSE_REQUIRE_SERVERS", "1"),
        ("PATH", "/bin"),
    ],
)
def test_what_kubernetes_or_the_test_suite_sets_is_no_mistake(name: str, value: str) -> None:
    assert load(Example, {**given(), name: value})


def test_effective_settings_hide_secrets() -> None:
    shown = effective(load(Example, given()))

    assert shown["POSTHOUSE_DATABASE_URL"] == "postgresql://mail:********@db.example/mail"
    assert shown["POSTHOUSE_SECRET_KEY"] == "********"
    assert shown["POSTHOUSE_LANES"] == "1,2"
    assert "hunter2" not in repr(load(Example, given()))


def test_each_setting_describes_itself() -> None:
    described = {item.variable: item for item in describe(Example)}

    assert all(item.doc for item in described.values())
    assert described["POSTHOUSE_LISTEN"].default == "127.0.0.1:2525"
    assert described["POSTHOUSE_DATABASE_URL"].secret
    assert described["POSTHOUSE_DATABASE_URL"].default is None
    assert names(Example) == {item.variable for item in described.values()} | {
        f"{item.variable}_FILE" for item in described.values() if item.secret
    }


@pytest.mark.parametrize("text", ["", "25", ":25", "a:b", "a:65536", "::1:25", "[x]:25", "a:²"])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Endpoint.parse(text)


@pytest.mark.parametrize("text", ["127.0.0.1:25", "mx.example:0", "[::1]:2525"])
def test_an_endpoint_reads_as_it_is_written(text: str) -> None:
    assert text == str(Endpoint.parse(text))
