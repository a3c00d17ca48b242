"""What is wrong at the start is said: at once where it stays wrong, and waited for elsewhere."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from bench.sink import Sink

from chaos.knock import knock
from chaos.program import POSTHOUSE
from chaos.relay import Split
from servers.patience import eventually, on_this_machine

PROGRAMS = ("up", "ingest", "policy", "dispatcher", "bounces", "console")
# No server listens there: port 1 of loopback belongs to a service that is not in use (tcpmux).
NOWHERE = "127.0.0.1:1"


def run(verb: str, settings: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Exit status of the program, and what it said about it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOUSE_")}
    done = subprocess.run(
        [POSTHOUSE, verb],
        env={**ours, "POSTHOUSE_DATA": str(folder), **settings},
        capture_output=True,
        text=True,
        timeout=on_this_machine(60),
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("verb", PROGRAMS)
def test_every_wrong_setting_is_told_at_once_and_the_exit_status_is_2(
    verb: str, tmp_path: Path
) -> None:
    """By name, without the secret in it, and before anything is started."""
    wrong = {
        "POSTHOUSE_SECRET_KEY": "c2hvcnQ=",
        "POSTHOUSE_HEALTH_LISTEN": "nowhere",
        "POSTHOUSE_GRACE_SECONDS": "-1",
        "POSTHOUSE_LOG_LEVEL": "loud",
        "POSTHOUSE_DATABSE_URL": "postgresql:///typo",
    }
    # Those that have no use for the key may leave it unread.
    told = set(wrong) - ({"POSTHOUSE_SECRET_KEY"} if verb == "dispatcher" else set())

    status, said = run(verb, wrong, tmp_path / "data")

    assert 2 == status
    assert told == {name for name in wrong if name in said}
    assert "c2hvcnQ=" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_a_onebox_whose_database_is_away_says_which_and_ends(tmp_path: Path) -> None:
    away = {"POSTHOUSE_DATABASE_URL": f"postgresql://posthouse:s3cret@{NOWHERE}/mail"}

    status, said = run("up", away, tmp_path)

    assert 1 == status
    assert "cannot connect to the database mail at 127.0.0.1:1" in said
    assert "s3cret" not in said
    assert "Traceback" not in said


def test_a_listener_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        listeners = {
            "POSTHOUSE_INGEST_LISTENERS": f"{address}/none",
            "POSTHOUSE_BOUNCES_LISTEN": "127.0.0.1:0",
            "POSTHOUSE_TRACKING_LISTEN": "127.0.0.1:0",
            "POSTHOUSE_CONSOLE_LISTEN": "127.0.0.1:0",
            "POSTHOUSE_HEALTH_LISTEN": "127.0.0.1:0",
        }

        status, said = run("up", listeners, tmp_path)

    assert 1 == status
    assert f"cannot listen on {address}" in said
    assert "Traceback" not in said


async def test_services_wait_for_their_database_and_do_without_their_broker(
    tmp_path: Path,
) -> None:
    """In whatever order an installation comes up; who needs the broker is not ready, and works."""
    relay = Split(tmp_path, f"amqp://guest:guest@{NOWHERE}/", None, dispatchers=1)
    try:
        for program in relay.programs.values():
            program.launch()
        await asyncio.sleep(2)
        await relay.start_database()
        await eventually(relay.programs["ingest"].is_ready, within=30)
        async with Sink(port=relay.sink_port) as sink:
            assert (await knock(relay.customer.normal)).startswith("250 ")
            await sink.arrived(1)
        answer = await relay.programs["dispatcher 1"].readiness()
        assert answer.startswith("HTTP/1.1 503")
        assert "broker" in answer
    finally:
        await relay.close()
