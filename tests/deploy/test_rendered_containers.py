"""The containers of the rendered chart carry a message: `make chart`, with a Docker engine.

The images are those that `COMPOSE_PROFILES=sink docker compose build` makes.
"""

import json
import os
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
import yaml

from charting.containers import project
from charting.rendering import of_kind, render, workloads
from servers.patience import eventually_says, on_this_machine
from servers.rabbitmq_container import docker_answers

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine: containers of the chart"),
]

HOST = "relay.posthouse.example"
VALUES = {
    "hostname": HOST,
    "image": {"repository": os.environ.get("RELAY_IMAGE", "posthouse:0.1.0").partition(":")[0]},
    "dispatcher": {
        "routes": "[sink]:2600",
        "pools": [{"name": "a", "hostname": f"a.{HOST}"}, {"name": "b", "hostname": f"b.{HOST}"}],
    },
}
SINK = (
    "sink --listen 0.0.0.0:2600 --report 0.0.0.0:2680 --bounces posthouse-bounces:2526 --delay 0.1"
)
# What the doctor would not let an operator have; and what this machine is like.
OF_THE_TEST = {"hostname", "routes", "certificate", "clock", "disk", "open_files"}
_START_SECONDS, _CARRY_SECONDS = 120.0, 60.0


class Stack:
    """The running project."""

    def __init__(self, folder: Path) -> None:
        self._name = f"posthouse-chart-{uuid4().hex[:8]}"
        self.folder = folder
        self._file = folder / "compose.yaml"

    def compose(self, *words: str) -> str:
        """What docker compose prints."""
        done = subprocess.run(
            ["docker", "compose", "-p", self._name, "-f", self._file, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self, service: str, *words: str) -> str:
        """What a command in a container prints."""
        return self.compose("exec", "-T", service, *words)

    def port(self, service: str, port: int) -> int:
        """Where a port of the first container is published."""
        return int(self.compose("port", service, str(port)).rpartition(":")[2])

    def states(self) -> dict[str, set[str]]:
        """What becomes of each service's containers: "healthy", or "exited 0" and the like."""
        found: dict[str, set[str]] = {}
        for line in self.compose("ps", "--all", "--format", "json").splitlines():
            entry = json.loads(line)
            ended = entry["State"] == "exited"
            state = f"exited {entry['ExitCode']}" if ended else entry["Health"] or entry["State"]
            found.setdefault(entry["Service"], set()).add(state)
        return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("chart")
    folder.chmod(0o711)
    found = Stack(folder)
    (folder / "compose.yaml").write_text(yaml.safe_dump({"services": services(folder)}))
    try:
        found.compose("up", "--detach")
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout", "30")


def services(folder: Path) -> dict[str, Any]:
    """The chart's, and what an installation has beside it."""
    ca = trustme.CA()
    certificate = ca.issue_cert(HOST, "127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    secrets = {
        "posthouse-database": {"url": "postgresql://posthouse:chart@database:5432/posthouse"},
        "posthouse-rabbitmq": {"url": "amqp://posthouse:chart@broker:5672/"},
        "posthouse-secret-key": {"secret.key": "c2VjcmV0" * 8},
        "posthouse-tls": {
            "tls.crt": "".join(p.bytes().decode() for p in certificate.cert_chain_pems),
            "tls.key": certificate.private_key_pem.bytes().decode(),
        },
    }
    demo = os.environ.get("DEMO_IMAGE", "posthouse-demo:0.1.0")
    return {
        **project(render(VALUES), secrets, folder),
        "database": {
            "image": os.environ.get("POSTGRES_IMAGE", "postgres:17"),
            "command": ["postgres", "-c", "max_connections=300"],
            "environment": {"POSTGRES_USER": "posthouse", "POSTGRES_PASSWORD": "chart"},
        },
        "broker": {
            "image": os.environ.get("RABBITMQ_IMAGE", "rabbitmq:4.0-management"),
            "environment": {"RABBITMQ_DEFAULT_USER": "posthouse", "RABBITMQ_DEFAULT_PASS": "chart"},
        },
        "sink": {
            "image": demo,
            "command": SINK,
            "ports": ["127.0.0.1::2680"],
            "healthcheck": {"disable": True},
        },
    }


def test_every_program_becomes_ready(stack: Stack) -> None:
    programs = {w["metadata"]["name"] for c, w in workloads(render(VALUES)) if c != "migrate"}
    (job,) = (d["metadata"]["name"] for d in of_kind(render(VALUES), "Job"))
    wanted = {job: {"exited 0"}} | {name: {"healthy"} for name in programs}

    def lacking() -> str:
        states = stack.states()
        found = {name: sorted(states.get(name, ())) for name in wanted}
        return json.dumps({name: s for name, s in found.items() if set(s) != wanted[name]})

    eventually_says(lacking, r"^\{\}$", _START_SECONDS)
    assert stack.run("posthouse-ingest", "id", "-u").strip() == "10001"


def test_a_message_and_a_report_go_through(stack: Stack) -> None:
    made = json.loads(
        stack.run(
            *("posthouse-ingest", "posthouse", "credential", "create"),
            *("--domain", "example.com", "--json"),
        )
    )
    context = ssl.create_default_context(cafile=stack.folder / "ca.pem")
    port = stack.port("posthouse-ingest", 2587)
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.com", "ann@there.example"
    message["Subject"] = "Through the chart"
    message.set_content("Hello.\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=on_this_machine(10)) as relay:
        relay.starttls(context=context)
        relay.login(made["username"], made["secret"])
        relay.send_message(message, to_addrs=["ann@there.example", "gone@there.example"])
    sink = f"http://127.0.0.1:{stack.port('sink', 2680)}/messages"
    eventually_says(lambda: _get(sink), "ann@there.example", _CARRY_SECONDS)
    # The sink reported the other one to the return path, where bounces put it on the list.
    eventually_says(
        lambda: stack.run("posthouse-ingest", "posthouse", "suppression", "list"),
        "gone@there.example",
        _CARRY_SECONDS,
    )


@pytest.mark.parametrize("service", ["posthouse-dispatcher-a", "posthouse-ingest"])
def test_the_doctor_finds_database_broker_and_secrets(stack: Stack, service: str) -> None:
    # It ends with 1: names of examples and a sink are faults.
    said = json.loads(stack.run(service, "sh", "-c", "posthouse doctor --local --json || true"))
    right, other = (
        {one["check"] for one in said if (one["state"] == "right") == is_right}
        for is_right in (True, False)
    )
    assert other <= OF_THE_TEST, [one for one in said if one["state"] != "right"]
    assert {"settings", "secret_key", "schema", "durability", "broker", "programs"} <= right


def _get(url: str) -> str:
    return subprocess.run(
        ["curl", "--silent", url], capture_output=True, text=True, check=False
    ).stdout


def test_they_stop_within_their_grace_period_by_themselves(stack: Stack) -> None:
    stack.compose("stop", *(w["metadata"]["name"] for _, w in workloads(render(VALUES))))
    ended = stack.states()
    assert {"exited 0"} == set().union(
        *(ended[w["metadata"]["name"]] for _, w in workloads(render(VALUES)))
    )
