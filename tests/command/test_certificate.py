"""`posthouse certificate`: what clients of the relay are shown, made or taken from an authority."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from command.cli import posthouse
from onebox.self_signed import self_signed
from posthouse.running.certificate import names_in
from servers.patience import eventually_says, on_this_machine

NAME = "relay.example.com"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a certificate that was made for another name."""
    folder = tmp_path / "data"
    folder.mkdir()
    put(folder / "tls.crt", folder / "tls.key", "old.example.com")
    return folder


def put(chain: Path, key: Path, name: str) -> tuple[Path, Path]:
    made = self_signed(name, datetime.now(UTC))
    for path, content in zip((chain, key), made, strict=True):
        path.write_bytes(content)
    return chain, key


def shown(data: Path) -> str:
    return (data / "tls.crt").read_text()


def call(data: Path, *words: object) -> Result:
    arguments = ["certificate", str(words[0]), "--data", str(data), *map(str, words[1:])]
    return CliRunner().invoke(posthouse, arguments, env={"POSTHOUSE_HOSTNAME": NAME})


def test_a_certificate_is_made_for_a_new_name(data: Path) -> None:
    said = call(data, "make")

    assert (0, f"made {data}/tls.crt for {NAME}\n") == (said.exit_code, said.output)
    assert NAME in names_in(data / "tls.crt")
    assert 0o600 == (data / "tls.key").stat().st_mode & 0o777


def test_a_certificate_of_an_authority_is_taken_with_its_key(data: Path, tmp_path: Path) -> None:
    chain, key = put(tmp_path / "fullchain.pem", tmp_path / "privkey.pem", f"*.{NAME[6:]}")
    said = call(data, "take", chain, key)

    assert (0, f"took {chain} as {data}/tls.crt\n") == (said.exit_code, said.output)
    assert chain.read_bytes() == (data / "tls.crt").read_bytes()
    assert key.read_bytes() == (data / "tls.key").read_bytes()
    assert "" == call(data, "take", chain, key).output  # nothing has changed


def test_one_for_another_name_is_taken_and_that_is_said(data: Path, tmp_path: Path) -> None:
    chain, key = put(tmp_path / "chain.pem", tmp_path / "key.pem", "mail.example.net")
    said = call(data, "take", chain, key)

    assert 0 == said.exit_code
    assert f"it is for mail.example.net, localhost, and not for {NAME}\n" == said.stderr


def test_a_key_of_another_certificate_changes_nothing(data: Path, tmp_path: Path) -> None:
    chain, _ = put(tmp_path / "chain.pem", tmp_path / "key.pem", NAME)
    before = (data / "tls.crt").read_bytes()
    said = call(data, "take", chain, data / "tls.key")

    assert 1 == said.exit_code
    assert "KEY_VALUES_MISMATCH" in said.output
    assert before == (data / "tls.crt").read_bytes()


def test_a_file_that_is_missing_is_named(data: Path, tmp_path: Path) -> None:
    said = call(data, "take", tmp_path / "chain.pem", tmp_path / "key.pem")

    assert (1, True) == (said.exit_code, f"{tmp_path}/chain.pem" in said.output)


def test_a_renewed_one_is_taken_when_it_comes(data: Path, tmp_path: Path) -> None:
    chain, key = put(tmp_path / "chain.pem", tmp_path / "key.pem", NAME)
    words = ["certificate", "take", chain, key, "--data", data, "--follow", "0.1"]
    child = subprocess.Popen(
        [sys.executable, "-c", "from command.cli import main; main()", *map(str, words)],
        env={**os.environ, "POSTHOUSE_HOSTNAME": NAME},
    )
    try:
        eventually_says(lambda: shown(data), re.escape(chain.read_text()))
        put(chain, key, "mail.example.net")
        eventually_says(lambda: shown(data), re.escape(chain.read_text()))
        child.terminate()
        assert 0 == child.wait(on_this_machine(20))
    finally:
        child.kill()
        child.wait()
