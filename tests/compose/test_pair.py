"""Two of each service, and two brokers: any one of them may die. A part of `make compose`."""

import subprocess
from collections.abc import Iterator

import pytest

from compose.stack import Stack
from compose.stand_ins import images_of
from servers.patience import eventually_says
from servers.rabbitmq_container import docker_answers

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    files = "docker-compose.yml:deploy/compose/ha.yml"
    running = Stack(tmp_path_factory.mktemp("pair"), COMPOSE_FILE=files, **images_of("haproxy"))
    try:
        running.up()
        running.log_in_as_new_user()
        yield running
    finally:
        running.down()


def test_the_address_of_a_client_is_not_that_of_the_balancer(stack: Stack) -> None:
    stack.send("seen")
    eventually_says(stack.received, "seen@there.example", within=30)
    said = stack.run("logs", "ingest").stdout
    assert '"event":"accepted"' in said
    assert '"client":"10.225.0.' not in said


def test_the_address_of_who_returns_mail_is_not_that_of_the_balancer(stack: Stack) -> None:
    def returned() -> str:
        lines = stack.run("logs", "bounces").stdout.splitlines()
        return "".join(line for line in lines if '"event":"return_taken"' in line)

    stack.send("gone")  # the sink takes it, and reports it to where bounces are
    said = eventually_says(returned, "gone@there.example", within=30)
    assert '"client":"10.225.0.' not in said


@pytest.mark.parametrize(
    "service",
    ["ingest", "policy", "dispatcher", "bounces", "tracking", "webhooks", "console", "rabbitmq"],
)
def test_one_dies_and_mail_goes_on(stack: Stack, service: str) -> None:
    [victim, *others] = stack.run("ps", "--quiet", service).stdout.split()
    assert others or service == "rabbitmq"
    # Killed by the engine, it does not come back by itself.
    subprocess.run(["docker", "kill", victim], check=True, capture_output=True)

    def takes_mail() -> str:
        try:
            stack.send(f"without-{service}")
        except OSError as error:  # smtplib's are of this kind; a client tries again
            return str(error)
        return "sent"

    eventually_says(takes_mail, "^sent$", within=30)
    eventually_says(stack.received, f"without-{service}@there.example", within=60)
    stack.up()
