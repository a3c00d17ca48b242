"""The whole stack in containers, as docs/compose.md says it is run: `make compose`.

The tests of this file share a stack, and each leaves it running.
"""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from compose.compose_files import services
from compose.stack import Stack
from onebox.all_settings import SERVICES
from onebox.self_signed import self_signed
from servers.patience import eventually_says
from servers.rabbitmq_container import docker_answers

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"))
    try:
        running.up()
        running.log_in_as_new_user()
        yield running
    finally:
        running.down()


def containers(stack: Stack, *names: str) -> set[str]:
    """The ids of those that run."""
    return set(stack.run("ps", "--quiet", *names).stdout.split())


def arrives(stack: Stack, recipient: str) -> None:
    stack.send(recipient)
    eventually_says(stack.received, f"{recipient}@there.example", within=30)


def test_compose_reads_the_file_as_our_tests_do(stack: Stack) -> None:
    said = json.loads(stack.run("config", "--format", "json").stdout)["services"]
    ours = services(stack.settings, profiles=("sink",))

    assert said.keys() == ours.keys()
    for name, service in ours.items():
        given = said[name].get("environment") or {}
        handed_on = {name: value for name, value in given.items() if value is not None}
        assert service["environment"] == handed_on, name


def test_a_message_is_delivered(stack: Stack) -> None:
    arrives(stack, "first")


def test_a_setting_of_the_file_is_in_force(stack: Stack) -> None:
    stack.set(POSTHOUSE_INGEST_MESSAGE_OCTETS="1000000")
    stack.up()
    said = stack.run("exec", "-T", "ingest", "posthouse", "config", "check", "ingest").stdout
    assert "POSTHOUSE_INGEST_MESSAGE_OCTETS=1000000" in said


def test_what_is_no_setting_is_refused(stack: Stack) -> None:
    stack.set(POSTHOUSE_SITE_LIMITS="10")
    assert stack.up(check=False).returncode != 0
    assert "is POSTHOUSE_SITE_LIMIT meant?" in stack.run("logs", "webhooks").stdout
    del stack.settings["POSTHOUSE_SITE_LIMITS"]
    stack.set()
    stack.up()


def test_nothing_starts_when_the_routes_do_not_lead_to_the_sink(tmp_path: Path) -> None:
    other = Stack(tmp_path, POSTHOUSE_ROUTES="")
    refused = other.up(check=False)

    assert refused.returncode != 0
    assert "the-sink-needs-POSTHOUSE_ROUTES" in refused.stderr


def test_every_service_says_that_it_is_ready(stack: Stack) -> None:
    for name in SERVICES:
        host, port = stack.address(name, 9180)
        with urlopen(f"http://{host}:{port}/healthz/ready", timeout=60) as answer:
            assert 200 == answer.status


def test_passwords_change_while_the_relay_runs(stack: Stack) -> None:
    before = stack.run("exec", "-T", "ingest", "cat", "/var/lib/posthouse/database.url").stdout
    stack.script("change_passwords.sh")
    after = stack.run("exec", "-T", "ingest", "cat", "/var/lib/posthouse/database.url").stdout

    assert before != after
    arrives(stack, "changed")


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    before = containers(stack)
    stack.up()
    assert before == containers(stack)


def test_a_lost_key_is_told_and_put_back(stack: Stack) -> None:
    key = stack.run("exec", "-T", "ingest", "cat", "/var/lib/posthouse/secret.key").stdout
    stack.run("down", "--timeout", "10")
    volume = f"{stack.settings['COMPOSE_PROJECT_NAME']}_keys"
    subprocess.run(["docker", "volume", "rm", volume], check=True, capture_output=True)

    assert stack.up(check=False).returncode != 0
    assert "secret.key is missing" in stack.run("logs", "migrate").stdout
    assert "" == stack.run("ps", "--quiet", "--status", "running", "ingest").stdout

    put = ("-c", "umask 077; cat > /var/lib/posthouse/secret.key")
    stack.run("run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", "migrate", *put, stdin=key)
    stack.up()
    arrives(stack, "key-is-back")


def shown(stack: Stack) -> str:
    """The certificate that clients see, in PEM."""
    context = ssl._create_unverified_context()  # noqa: S323 -- it is compared
    with (
        socket.create_connection(stack.address("ingest", 2465), timeout=60) as connection,
        context.wrap_socket(connection, server_hostname="relay.posthouse.example") as tls,
    ):
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")


def put_certificate(folder: Path) -> str:
    """A new one that only its owner may read; its text."""
    chain, key = self_signed("relay.posthouse.example", datetime.now(UTC))
    for name, content in (("privkey.pem", key), ("fullchain.pem", chain)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return chain.decode()


def test_a_certificate_that_only_root_may_read_is_shown_and_renewed(
    stack: Stack, tmp_path: Path
) -> None:
    first = put_certificate(tmp_path)
    stack.set(COMPOSE_PROFILES="sink,tls", TLS_FOLDER=str(tmp_path))
    stack.up()
    eventually_says(lambda: str(shown(stack) == first), "True", within=90)
    started = containers(stack, "ingest")

    second = put_certificate(tmp_path)
    eventually_says(lambda: str(shown(stack) == second), "True", within=90)
    assert started == containers(stack, "ingest")


def test_more_dispatchers_have_metrics_and_leave_the_others_alone(stack: Stack) -> None:
    others = containers(stack, "ingest", "policy")
    stack.set(DISPATCHER_REPLICAS="2")
    stack.up()

    for index in (1, 2):
        assert "posthouse_queue_messages" in stack.metrics("dispatcher", index=index)
    assert others == containers(stack, "ingest", "policy")
    arrives(stack, "by-two")


def test_a_backup_is_restored(stack: Stack) -> None:
    dump = stack.run("exec", "-T", "ingest", "posthouse", "backup", "-").stdout
    stack.run("stop", *SERVICES)
    for command in (("dropdb", "--force"), ("createdb",)):
        stack.run(
            "exec", "-T", "postgres", command[0], "-U", "posthouse", *command[1:], "posthouse"
        )
    given = dump.encode(errors="surrogateescape")
    stack.run("run", "--rm", "-T", "--no-deps", "migrate", "restore", "-", stdin=given)
    stack.up()
    arrives(stack, "restored")


def test_an_upgrade_is_made_and_taken_back(stack: Stack, tmp_path: Path) -> None:
    def running() -> str:
        found = stack.run("ps", "--quiet", "ingest").stdout.split()
        inspect = ["docker", "inspect", "--format", "{{.Image}}", *found]
        return subprocess.run(inspect, check=True, capture_output=True, text=True).stdout

    image = f"{stack.settings['COMPOSE_PROJECT_NAME']}:1"
    docker("tag", "posthouse:0.1.0", image)
    stack.set(RELAY_IMAGE=image)
    stack.up()
    before = running()
    newer = f"FROM {image}\nLABEL newer=yes\n"
    docker("build", "--quiet", "--tag", image, "-", stdin=newer)

    stack.script("upgrade.sh", "--no-build", folder=tmp_path)
    assert before != running()
    arrives(stack, "upgraded")
    assert (tmp_path / "before-upgrade.dump").stat().st_mode & 0o777 == 0o600

    stack.script("upgrade.sh", "back", folder=tmp_path)
    assert before == running()
    arrives(stack, "taken-back")


def docker(*words: str, stdin: str = "") -> None:
    subprocess.run(["docker", *words], input=stdin, text=True, check=True, capture_output=True)
