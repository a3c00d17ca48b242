"""The facts of an installation with which nothing is wrong."""

from datetime import UTC, datetime, timedelta

from posthouse.doctor.database_judges import DatabaseFacts, SchemaFacts
from posthouse.doctor.examination import InstallationFacts
from posthouse.doctor.host_judges import AddressFacts, HostFacts, ReturnPathFacts
from posthouse.doctor.key_judges import ActiveKey
from posthouse.doctor.outward_judges import PortFacts
from posthouse.doctor.place_judges import (
    BrokerFacts,
    CertificateFacts,
    DiskFacts,
    FileFacts,
    PlaceFacts,
)
from posthouse.domains.spf_judging import SpfNode, SpfStep
from posthouse.domains.spf_term import terms_of
from posthouse.mail.dns_answer import Found, NoSuchName

NAME, ADDRESS = "relay.example.com", "198.51.100.7"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
SPF = f"v=spf1 a:{NAME} -all"
GIB = 1 << 30

DATABASE = DatabaseFacts(
    version=17,
    durable={"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"},
    vacuuming={"autovacuum": "on", "track_counts": "on"},
    read_only=False,
    connections=197,
    connected=40,
    transaction_ages=120_000_000,
    oldest_transaction_seconds=0.2,
    prepared_transactions=0,
    wal_kept=0,
    clock_ahead_seconds=-0.1,
)
SCHEMA = SchemaFacts(version=25, needed=25)
CERTIFICATE = CertificateFacts(
    "/etc/posthouse/tls.crt",
    names=(NAME,),
    not_before=NOW - timedelta(days=10),
    not_after=NOW + timedelta(days=60),
    hostname=NAME,
)
KEY_FILE = FileFacts("/var/lib/posthouse/secret.key", 0o600)
DISK = DiskFacts("/var/lib/posthouse", 50 * GIB, 100 * GIB, 900, 1000)
PLACE = PlaceFacts(
    now=NOW,
    open_files=65_536,
    synchronised=True,
    files=(FileFacts("/var/lib/posthouse", 0o700, folder=True), KEY_FILE),
    certificates=(CERTIFICATE,),
    disks=(DISK,),
)


def spf(text: str) -> SpfNode:
    """The tree of a record whose hosts are found at our address."""
    return SpfNode(NAME, (text,), tuple(SpfStep(term, (ADDRESS,)) for term in terms_of(text)))


EGRESS = AddressFacts(
    ADDRESS,
    reverse=Found((NAME,)),
    forward={NAME: Found((ADDRESS,))},
    lists={"zen.spamhaus.org": NoSuchName()},
)
RETURN_PATH = ReturnPathFacts(
    NAME,
    receiving=NAME,
    mx=Found((f"10 {NAME}",)),
    addresses=Found((ADDRESS,)),
    spf=spf(SPF),
    texts=(SPF,),
    expected_spf=SPF,
)
KEY = ActiveKey("sender.example.com", "ph1", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvP=")
HOSTS = HostFacts(
    NAME,
    made_up=NoSuchName(),
    addresses=Found((ADDRESS,)),
    egress=(EGRESS,),
    return_path=RETURN_PATH,
    asked=("127.0.0.1",),
    keys=((KEY, Found((KEY.text,))),),
)
HEALTHY = InstallationFacts(
    hostname=NAME,
    mistakes=(),
    routes=(),
    passwords=(("POSTHOUSE_DATABASE_URL", "k3Jp-8wq"), ("POSTHOUSE_BROKER_URL", "Zm9v.9")),
    place=PLACE,
    database=DATABASE,
    schema=SCHEMA,
    programs=frozenset({"ingest", "policy", "dispatcher", "bounces"}),
    versions={"0.2.0": ("bounces", "dispatcher", "ingest", "policy")},
    brokers=(BrokerFacts("mq:5672", "4.0.5"),),
    hosts=HOSTS,
    port_25=PortFacts({"mx.dest.example:25": "220 mx.dest.example ESMTP"}, {}),
)
