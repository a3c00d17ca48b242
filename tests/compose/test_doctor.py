"""`posthouse doctor` in the stack of docker-compose.yml: a part of `make compose`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from compose.stack import Stack, gateway
from doctor.healthy_zone import BLOCKLIST, NAME, PTR, healthy_zone
from servers.name_server import NameServer, dns_in_thread
from servers.patience import eventually_says
from servers.rabbitmq_container import docker_answers

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers"),
]

# What this machine is like is not for the test to say; and the first certificate signs itself.
NAMED = {"clock", "disk", "open_files", "certificate"}


@dataclass
class Checkup:
    """A stack, and what DNS says of it."""

    stack: Stack
    dns: NameServer

    def __call__(self, *words: str) -> list[str]:
        """The checks that are not right, by a doctor that *words* start."""
        words = words or ("exec", "-T", "dispatcher", "posthouse")
        said = json.loads(self.stack.run(*words, "doctor", "--json", check=False).stdout)
        return [
            one["check"] for one in said if one["state"] != "right" and one["check"] not in NAMED
        ]


@pytest.fixture(scope="module")
def checkup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkup]:
    dns = NameServer(healthy_zone())
    with dns_in_thread(dns, address=gateway()):
        stack = Stack(
            tmp_path_factory.mktemp("doctor"),
            COMPOSE_PROFILES="",
            POSTHOUSE_ROUTES="",
            POSTHOUSE_HOSTNAME=NAME,
            POSTHOUSE_NAMESERVERS=dns.address,
            POSTHOUSE_DOCTOR_BLOCKLISTS=BLOCKLIST,
            POSTHOUSE_DOCTOR_PROBE_DOMAINS="none",  # a sandbox may not let port 25 out
        )
        try:
            stack.up()
            yield Checkup(stack, dns)
        finally:
            stack.down()


@pytest.mark.parametrize("service", ["dispatcher", "ingest"])
def test_a_healthy_stack_has_nothing_wrong(checkup: Checkup, service: str) -> None:
    inside = ("exec", "-T", service, "posthouse")
    assert [] == checkup(*inside)
    said = checkup.stack.run(*inside, "doctor", "--all").stdout
    for check in ("password", "secret_key", "durability", "broker", "reverse_name", "file_mode"):
        assert f"right   {check} " in said


def test_a_dispatcher_looks_by_itself(checkup: Checkup) -> None:
    said = eventually_says(
        lambda: checkup.stack.metrics("dispatcher"),
        r"posthouse_doctor_last_success_timestamp_seconds [1-9]",
        within=90,
    )
    assert 'posthouse_doctor_results{check="durability",state="right"} 3.0' in said
    assert 'state="wrong"} 1.0' not in said


def test_a_fault_of_dns_is_found(checkup: Checkup) -> None:
    zone = healthy_zone()
    del zone[PTR]
    checkup.dns.zone = zone
    assert ["reverse_name"] == checkup()
    checkup.dns.zone = healthy_zone()


def test_a_setting_of_postgresql_that_loses_mail_is_found(checkup: Checkup) -> None:
    psql = ("exec", "-T", "postgres", "psql", "-U", "posthouse", "-c")
    checkup.stack.run(*psql, "ALTER ROLE posthouse SET synchronous_commit = off")
    assert ["durability"] == checkup()
    checkup.stack.run(*psql, "ALTER ROLE posthouse RESET synchronous_commit")


def test_a_stopped_broker_is_found_and_the_relay_need_not_run(checkup: Checkup) -> None:
    checkup.stack.run("stop", "rabbitmq", "bounces", "dispatcher")
    assert ["broker"] == checkup("run", "--rm", "-T", "--no-deps", "dispatcher")
    checkup.stack.up()
    assert [] == checkup()
