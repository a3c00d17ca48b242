"""Logs are JSON lines, ours and the libraries', and never stop the program."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers.patience import on_this_machine

START = """
import logging, os, sys, structlog
from posthouse.running.common_settings import LogAddresses, LogFormat, LogLevel
from posthouse.running.log_writer import LINES_DROPPED
from posthouse.running.logs import configure
log = structlog.get_logger()
"""


def run(code: str, stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=on_this_machine(30),
        check=False,
    )


def lines(code: str) -> list[dict[str, Any]]:
    result = run(code)
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_event_is_one_json_line_with_time_level_and_service() -> None:
    (line,) = lines(
        "configure('ingest')\n"
        "log.debug('too_detailed')\n"
        "log.bind(submission='s1').info('accepted', bytes=10)\n"
    )

    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "info",
        "service": "ingest",
        "event": "accepted",
        "submission": "s1",
        "bytes": 10,
    }


@pytest.mark.parametrize(
    ("setting", "sender", "username", "reply"),
    [
        ("FULL", "Ann@x.example", "shop", "550 <bob@y.example>: no such user"),
        ("DOMAIN", "***@x.example", "shop", "550 <***@y.example>: no such user"),
        ("NONE", "***", "***", "550 <***>: no such user"),
    ],
)
def test_addresses_are_shown_as_far_as_the_setting_allows(
    setting: str, sender: str, username: str, reply: str
) -> None:
    """Also those that servers name in their replies."""
    (line,) = lines(
        f"configure('ingest', addresses=LogAddresses.{setting})\n"
        "log.info('bounced', sender='Ann@x.example', username='shop', size=1, "
        "reply='550 <bob@y.example>: no such user')\n"
    )

    assert (sender, username, reply) == (line["sender"], line["username"], line["reply"])


def test_libraries_log_through_the_same_pipe() -> None:
    first, second = lines(
        "configure('ingest')\n"
        "logging.getLogger('asyncpg.pool').warning('pool of %d', 3)\n"
        "logging.getLogger('any').error('does not fit %d', 'x')\n"
    )

    assert (first["logger"], first["level"], first["event"]) == (
        "asyncpg.pool",
        "warning",
        "pool of 3",
    )
    assert second["event"] == "does not fit %d"


def test_what_clients_say_is_not_logged_even_at_debug() -> None:
    assert (
        lines(
            "configure('ingest', level=LogLevel.DEBUG)\n"
            "logging.getLogger('mail.log').info('%r >> %r', 'peer', b'AUTH PLAIN c2VjcmV0')\n"
            "logging.getLogger('mail.log').debug('secret')\n"
            "logging.getLogger('mail.log').warning('Session.login_data is deprecated')\n"
        )
        == []
    )


def test_an_exception_is_logged_without_local_variables() -> None:
    (line,) = lines(
        "configure('ingest')\n"
        "def fail(password): raise ValueError('broken')\n"
        "try:\n    fail('hunter2'.upper())\n"
        "except ValueError:\n    log.exception('service_failed')\n"
    )

    assert line["level"] == "error"
    assert "ValueError: broken" in line["exception"]
    assert "HUNTER2" not in str(line)


def test_what_json_cannot_hold_is_still_logged() -> None:
    (line,) = lines("configure('x')\nlog.info('odd', text='\\udc80', n=2**70, o=print)\n")

    assert line["text"] == "\\udc80"
    assert line["event"] == "odd"


def test_the_console_form_is_for_people() -> None:
    result = run("configure('x', form=LogFormat.CONSOLE)\nlog.info('accepted', bytes=10)\n")

    assert "accepted" in result.stdout
    assert "bytes=10" in result.stdout
    assert not result.stdout.startswith("{")


def test_the_text_of_a_stranger_is_on_one_line_in_either_form() -> None:
    """A reply of several lines cannot forge a line of the log."""
    say = "log.info('bounced', reply='no\\n2026-01-01 accepted\\x1b[2K')\n"
    for form in ("CONSOLE", "JSON"):
        result = run(f"configure('x', form=LogFormat.{form})\n{say}")
        assert 1 == result.stdout.count("\n")
        assert "\x1b[2K" not in result.stdout


def test_a_blocked_output_stops_nobody() -> None:
    """A reader that never reads: the program goes on, and ends."""
    reading, writing = os.pipe()
    try:
        result = run(
            "configure('x')\n"
            "for n in range(50_000): log.info('event', n=n, padding='x' * 100)\n"
            "print(int(LINES_DROPPED._value.get()), file=sys.stderr)\n",
            stdout=writing,
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert result.returncode == 0
    assert int(result.stderr) >= 20_000


def test_a_closed_output_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = run(
            "writer = configure('x')\nlog.info('event')\nwriter.flush()\n"
            "print(int(LINES_DROPPED._value.get()), file=sys.stderr)\n",
            stdout=writing,
        )
    finally:
        os.close(writing)

    assert (result.returncode, result.stderr) == (0, "1\n")


def test_a_full_disk_stops_nobody() -> None:
    with Path("/dev/full").open("w") as full:
        result = run(
            "writer = configure('x')\nlog.info('event')\nwriter.flush()\n"
            "print(int(LINES_DROPPED._value.get()), file=sys.stderr)\n",
            stdout=full,
        )

    assert (result.returncode, result.stderr) == (0, "1\n")


def test_a_reader_that_is_only_slow_gets_every_line_in_order() -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            START + "configure('x')\nfor n in range(5_000): log.info('event', n=n)\n",
        ],
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        seen = [json.loads(line)["n"] for line in child.stdout]

    assert seen == list(range(5_000))


def test_processes_that_share_an_output_do_not_mix_their_lines() -> None:
    """Four of them, as `posthouse up` starts its own."""
    seen = lines(
        "children = [os.fork() for _ in range(2)]\n"
        "writer = configure('x')\n"
        "for n in range(5_000): log.info('event', n=n, padding='x' * 200)\n"
        "writer.flush(20)\n"
        "if not all(children): os._exit(0)\n"
        "for _ in children: os.wait()\n"
    )

    assert len(seen) == 4 * 5_000
    assert {line["n"] for line in seen} == set(range(5_000))
