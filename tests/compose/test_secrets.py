"""make_secrets.sh: passwords are made once, and one that is in use does not change."""

import json
import subprocess
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest

from compose.compose_files import ROOT

Folders: TypeAlias = dict[str, Path]
SCRIPT = ROOT / "deploy/compose/make_secrets.sh"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = {name: tmp_path / name for name in ("KEYS", "DATABASE", "BROKER", "DASHBOARD")}
    for folder in found.values():
        folder.mkdir()
    return found


def make(folders: Folders, *words: str, **more: str) -> dict[str, str]:
    """Run the script; every file then, by folder and name."""
    env = {"PATH": "/usr/bin:/bin", **{name: str(path) for name, path in folders.items()}, **more}
    subprocess.run([SCRIPT, *words], env=env, check=True)
    return {
        f"{name}/{path.name}": path.read_text()
        for name, folder in folders.items()
        for path in sorted(folder.iterdir())
    }


def test_servers_and_services_are_given_the_same_passwords(folders: Folders) -> None:
    made = make(folders)
    [user] = json.loads(made["BROKER/definitions.json"])["users"]

    assert made["DATABASE/password"] == urlsplit(made["KEYS/database.url"]).password
    assert user["password"] == urlsplit(made["KEYS/broker.url"].strip()).password
    secrets = {made["DATABASE/password"], user["password"], made["DASHBOARD/password"]}
    assert [48, 48, 48] == [len(secret) for secret in secrets]


def test_only_the_relay_reads_what_is_in_its_own_folder(folders: Folders) -> None:
    make(folders)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folders["KEYS"].iterdir()}
    assert {"database.url": 0o600, "broker.url": 0o600} == modes


def test_passwords_stay_as_they_are(folders: Folders) -> None:
    assert make(folders) == make(folders)


@pytest.mark.parametrize("lost", ["KEYS", "DATABASE", "BROKER"])
def test_what_is_lost_is_made_again_of_what_is_left(folders: Folders, lost: str) -> None:
    before = make(folders)
    for path in folders[lost].iterdir():
        path.unlink()
    after = make(folders)

    assert {**before, "BROKER/cookie": ""} == {**after, "BROKER/cookie": ""}


def test_new_ones_are_made_on_demand(folders: Folders) -> None:
    before, after = make(folders), make(folders, "renew")
    for file in ("KEYS/database.url", "KEYS/broker.url", "DATABASE/password", "DASHBOARD/password"):
        assert before[file] != after[file]
    assert before["BROKER/cookie"] == after["BROKER/cookie"]


def test_every_broker_is_named(folders: Folders) -> None:
    made = make(folders, BROKERS="rabbitmq rabbitmq-2")
    hosts = [urlsplit(url).hostname for url in made["KEYS/broker.url"].strip().split(",")]

    assert ["rabbitmq", "rabbitmq-2"] == hosts
    assert made == make(folders, BROKERS="rabbitmq rabbitmq-2")
