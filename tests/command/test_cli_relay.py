"""The command beside a running relay: `up`, `credential`, `send`, `message`, and the demo."""

import json
import os
import re
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from servers.patience import eventually_says, on_this_machine

PROGRAM = (sys.executable, "-c", "from command.cli import main; main()")
ENVIRON = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}


def call(*arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=on_this_machine(100),
        check=False,
    )
    assert status == done.returncode, done.stdout[-2000:] + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The data folder and the ready line of a relay whose mail goes nowhere."""
    with subprocess.Popen(
        [
            *(*PROGRAM, "up", "--data", str(tmp_path / "data"), "--route", "127.0.0.1:1"),
            *("--listen", "127.0.0.1:0/starttls_required", "--listen", "127.0.0.1:0/none"),
            *("--bounce-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"),
            *("--tracking-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0"),
            *("--hostname", "Relay.Example"),
        ],
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        yield tmp_path / "data", json.loads(child.stdout.readline())
        child.send_signal(signal.SIGTERM)
        assert child.wait(on_this_machine(30)) == 0


def test_a_script_can_do_everything(relay: tuple[Path, dict[str, Any]]) -> None:
    """One ready line, one credential, one message; its story tells why it waits."""
    data, ready = relay
    assert ready["event"] == "ready"
    assert {"up", "worker 1", "postgres"} <= set(ready["pids"])
    operator = ("--data", str(data))
    made = json.loads(call(*operator, "credential", "create", "--json", "--domain", "x.example"))
    # What the relay is called was said to the relay only, and not to this command.
    assert "v=spf1 a:relay.example ~all" in {record["value"] for record in made["records"]}

    secured, clear = (str(listener["port"]) for listener in ready["submission"])
    login = ("--username", made["username"], "--secret", made["secret"])
    who = ("--from", "a@x.example", "--to", "b@y.example")
    reply = call("send", "--port", secured, *login, *who, "--lane", "high")
    found = re.search(r"queued as ([0-9a-f]{32})", reply)
    assert found is not None
    call("send", "--port", clear, "--tls", "none", *login, *who)

    story = _story(operator, found[1], "deferred")
    assert "lane high" in story
    assert "_domainkey.x.example" in story
    assert "waiting" in story
    queue = json.loads(call(*operator, "queue", "--json"))
    assert {line["lane"] for line in queue} == {"high", "normal"}

    _a_new_client_sends(operator, int(secured))
    wrong = call("send", "--port", secured, "--username", "x", "--secret", "y", *who, status=1)
    assert "535" in wrong
    stranger = ("--from", "a@other.example", "--to", "b@y.example")
    assert "other.example" in call("send", "--port", secured, *login, *stranger, status=1)


def _a_new_client_sends(operator: tuple[str, ...], port: int) -> None:
    """E06a: from four facts to a client whose message is accepted, when its domain is verified."""
    facts = ("--source", "127.0.0.1", "--domain", "news.example.com")
    way = ("--bounce-address", "b@example.org", "--onboarding", "trusted", "--json")
    made = json.loads(call(*operator, "account", "onboard", "Acme", *facts, *way))
    assert made["server"] == "relay.example"
    message = EmailMessage()
    message["From"] = "News <news@news.example.com>"
    message["To"], message["Subject"] = "ann@there.example", "News"
    message["Message-ID"] = "<1@news.example.com>"
    message["X-bm-mailing"] = made["codes"]["Acme"]
    message.set_content("Hello.")
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, "app.example") as client:
        client.starttls(context=unverified)
        client.login(made["username"], made["secret"])
        assert {} == client.send_message(message)
        del message["X-bm-mailing"]
        message["X-bm-mailing"] = "unknown"
        with pytest.raises(smtplib.SMTPDataError, match="X-bm-mailing"):
            client.send_message(message)


def _story(operator: tuple[str, ...], id_: str, word: str) -> str:
    """The message's story, once *word* is in it."""
    return eventually_says(lambda: call(*operator, "message", id_), word)


def test_nobody_listening_is_told_in_one_line() -> None:
    said = call("send", "--port", "1", "--from", "a@x.example", "--to", "b@x.example", status=1)
    assert said.startswith("Error: not sent by 127.0.0.1:1: ")
    assert said.count("\n") == 1


def test_the_demo_tells_its_story_and_every_check_holds() -> None:
    said = call("demo")
    assert "8 of 8 checks passed" in said
    assert "FAILED" not in said
    assert "on the bounce list since" in said
