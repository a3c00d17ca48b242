"""`posthouse doctor` beside a relay that runs: silent while all is well, and faults are found."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from doctor.healthy_zone import ADDRESS, BLOCKLIST, LISTED, NAME, PTR, healthy_zone
from onebox.postgres_server import dsn
from posthouse.mail.secret import KEY_OCTETS
from servers.first_data import put_first_data
from servers.issued import issue
from servers.name_server import NameServer, dns_in_thread
from servers.posthouse_command import Run, call
from servers.whole_relay import ANY, running

# What this machine is like is not for the test to say.
OF_THE_MACHINE = {"clock", "disk", "open_files"}


@dataclass
class Checkup:
    """A relay that runs, and its doctor."""

    folder: Path
    data: Path
    dns: NameServer
    environ: dict[str, str]

    def __call__(self, **environ: str) -> list[tuple[str, str]]:
        """Check and subject of all that is not right."""
        return [
            (one["check"], one["subject"])
            for one in json.loads(self.run("--json", **environ).stdout)
            if one["state"] != "right" and one["check"] not in OF_THE_MACHINE
        ]

    def run(self, *arguments: str, **environ: str) -> Run:
        """The command, as it ends."""
        done = call("doctor", *arguments, **{**self.environ, **environ})
        assert "Traceback" not in done.stderr
        return done

    def sql(self, statement: str) -> None:
        """Run a statement on the database, as its operator might."""

        async def execute() -> None:
            connection = await asyncpg.connect(dsn(self.data / "postgres"))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(execute())

    @contextmanager
    def zone(self) -> Iterator[dict[tuple[str, str], tuple[str, ...]]]:
        """The zone to break; it is whole again at the end."""
        self.dns.zone = zone = healthy_zone()
        try:
            yield zone
        finally:
            self.dns.zone = healthy_zone()


@pytest.fixture(scope="module")
def checkup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkup]:
    folder = tmp_path_factory.mktemp("doctor")
    folder.chmod(0o755)  # PostgreSQL runs as another user than root
    put_first_data(folder / "data/postgres")
    secret = folder / "data/secret.key"
    secret.touch(mode=0o600)
    secret.write_bytes(base64.b64encode(os.urandom(KEY_OCTETS)))
    chain, key = issue(folder, NAME)
    with dns_in_thread(NameServer(healthy_zone())) as stub:
        assert isinstance(stub, NameServer)
        environ = {
            "POSTHOUSE_DATA": str(folder / "data"),
            "POSTHOUSE_HOSTNAME": NAME,
            "POSTHOUSE_WORKERS": "1",
            "POSTHOUSE_NAMESERVERS": stub.address,
            "POSTHOUSE_DOCTOR_BLOCKLISTS": BLOCKLIST,
            "POSTHOUSE_DOCTOR_PROBE_DOMAINS": "none",
            "POSTHOUSE_INGEST_TLS_CERTIFICATE": str(chain),
            "POSTHOUSE_INGEST_TLS_KEY": str(key),
            "POSTHOUSE_BOUNCES_TLS_CERTIFICATE": str(chain),
            "POSTHOUSE_BOUNCES_TLS_KEY": str(key),
        }
        listening = ("--bounce-listen", ANY, "--health-listen", ANY, "--tracking-listen", ANY)
        ports = ("--listen", f"{ANY}/opportunistic", "--console-listen", ANY, *listening)
        with running("up", *ports, **environ):
            yield Checkup(folder, folder / "data", stub, environ)


def test_a_healthy_relay_has_nothing_wrong(checkup: Checkup) -> None:
    assert [] == checkup()
    said = checkup.run("--all")
    for check in ("durability", "schema", "secret_key", "reverse_name", "spf", "blocklist"):
        assert f"right   {check} " in said.stdout
    assert said.stdout.rstrip().endswith("0 unknown")


def test_what_is_wrong_is_told_with_why_and_what_mends_it(checkup: Checkup) -> None:
    with checkup.zone() as zone:
        del zone[PTR]
        said = checkup.run()
    assert 1 == said.returncode
    assert f"wrong   reverse_name     {ADDRESS}" in said.stdout
    assert "seen  it has no name (PTR)" in said.stdout
    assert "why   large receivers refuse" in said.stdout
    assert f"mend  have the owner of {ADDRESS}" in said.stdout


def test_faults_of_DNS_are_found(checkup: Checkup) -> None:
    with checkup.zone() as zone:
        zone[LISTED] = ("127.0.0.2",)
        zone[NAME, "MX"] = ("10 mx.other.example.",)
        zone[NAME, "TXT"] = ('"v=spf1 ip4:192.0.2.1 -all"',)
        assert [
            ("blocklist", f"{ADDRESS} at {BLOCKLIST}"),
            ("return_path", NAME),
            ("spf", NAME),
        ] == checkup()
    with checkup.zone() as zone:
        zone["there-is-no-such-name.invalid", "A"] = ("203.0.113.9",)
        assert [("resolver", "name servers")] == checkup()


def test_faults_of_files_are_found(checkup: Checkup) -> None:
    key = checkup.data / "secret.key"
    key.chmod(0o666)  # to be written by others, which is a fault in a container, too
    try:
        assert [("file_mode", str(key))] == checkup()
    finally:
        key.chmod(0o600)
    old = checkup.folder / "old"
    old.mkdir()
    chain, secret = issue(old, NAME, days=-1)
    given = {
        "POSTHOUSE_INGEST_TLS_CERTIFICATE": str(chain),
        "POSTHOUSE_INGEST_TLS_KEY": str(secret),
    }
    assert [("certificate", str(chain))] == checkup(**given)
    stranger = {"POSTHOUSE_INGEST_TLS_CERTIFICATE": str(chain)}  # with the key of the other
    assert [("certificate", str(chain))] == checkup(**stranger)


def test_faults_of_settings_are_found(checkup: Checkup) -> None:
    assert ("routes", "POSTHOUSE_ROUTES") in checkup(POSTHOUSE_ROUTES="127.0.0.1:2600")
    mistaken = checkup(POSTHOUSE_LANE_LIMITS="many")
    assert ("settings", "POSTHOUSE_LANE_LIMITS") in mistaken
    another = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
    assert [("secret_key", "database")] == checkup(POSTHOUSE_SECRET_KEY=another)
    said = checkup.run(POSTHOUSE_NO_SUCH="1")
    assert (1, True) == (said.returncode, "POSTHOUSE_NO_SUCH is not a setting" in said.stdout)


def test_faults_of_the_database_are_found(checkup: Checkup) -> None:
    checkup.sql("ALTER DATABASE posthouse SET synchronous_commit = off")
    checkup.sql("INSERT INTO relay_names (program, hostname) VALUES ('policy', 'b.example.com')")
    try:
        assert [
            ("hostname", "POSTHOUSE_HOSTNAME"),
            ("durability", "synchronous_commit"),
        ] == checkup()
    finally:
        checkup.sql("ALTER DATABASE posthouse RESET synchronous_commit")
        checkup.sql("DELETE FROM relay_names WHERE program = 'policy'")
    assert [] == checkup()


def test_programs_of_another_version_are_named_until_they_have_ended(checkup: Checkup) -> None:
    said = "INSERT INTO program_versions VALUES ('policy', '0.0.9', now() - interval '{}')"
    for ago, is_told in ("14 minutes", True), ("16 minutes", False):
        checkup.sql(said.format(ago))
        told = checkup.run("--all").stdout
        assert is_told == ("advice  versions" in told)
        assert is_told == ("0.0.9: policy; 0.1.0: up" in told)
        checkup.sql("DELETE FROM program_versions WHERE program = 'policy'")


def test_a_new_timeline_waits_for_the_word_of_the_operator(checkup: Checkup) -> None:
    checkup.sql("UPDATE witness SET timeline = 99")
    assert [("restored", "timeline")] == checkup()
    assert "counts as known from now on" in checkup.run("--accept-timeline").stderr
    assert [] == checkup()
    lines = json.loads(call("audit", "--json", **checkup.environ).stdout)
    assert 1 == [line["action"] for line in lines].count("timeline accept")


def test_where_there_is_no_installation_it_says_so(tmp_path: Path) -> None:
    done = call("doctor", "--local", POSTHOUSE_DATA=str(tmp_path))
    assert (1, "") == (done.returncode, done.stdout)
    assert "there is no Posthouse in" in done.stderr


def test_keys_that_sign_and_are_not_in_dns_are_found(checkup: Checkup) -> None:
    add = ("domain", "add", "sender.example.com", "--account", "shop", "--no-ed25519")
    made = call(*add, "--json", "--published-spf", "", **checkup.environ)
    assert 0 == made.returncode, made.stderr
    assert [] == checkup()  # it may not send yet
    verify = ("domain", "verify", "sender.example.com", "--account", "shop")
    assert 0 == call(*verify, **checkup.environ).returncode
    ((check, name),) = checkup()
    assert ("domain_keys", True) == (check, name.endswith("._domainkey.sender.example.com"))
    record = next(r for r in json.loads(made.stdout)["records"] if r["name"] == name)
    with checkup.zone() as zone:
        zone[name, "TXT"] = (record["zone_line"].partition(" TXT ")[2],)
        assert [] == checkup()
