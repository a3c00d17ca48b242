"""A relay in many processes, of which each can be cut off from each server without a word."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.relay import Split
from servers.missing import missing
from servers.own_network import OwnNetwork, own_network
from servers.ports import lasting_ports
from servers.rabbitmq_private import NoRabbitMq, Place, PrivateNode, installed_scripts

_EVERYWHERE = "0.0.0.0"  # noqa: S104 -- in a network of their own
_POSTGRES_PORT = 5432

# By which address a program reaches a server.
_INGEST_TO_BROKER = "127.0.0.21"
_DISPATCHER_TO_BROKER = "127.0.0.22"
_DISPATCHER_TO_DATABASE = "127.0.0.32"
_INGEST_TO_DATABASE = "127.0.0.31"


class Apart(Split):
    """One dispatcher; all programs reach PostgreSQL over TCP."""

    def __init__(self, folder: Path, network: OwnNetwork, broker: int) -> None:
        """*broker*: the port that RabbitMQ listens on, at every address."""
        self._network = network
        self._broker = broker

        def reaching(broker_at: str, database_at: str) -> dict[str, str]:
            return {
                "POSTHOUSE_BROKER_URL": f"amqp://guest:guest@{broker_at}:{broker}/",
                "POSTHOUSE_DATABASE_URL": (
                    f"postgresql://posthouse@{database_at}:{_POSTGRES_PORT}/posthouse"
                ),
            }

        super().__init__(
            folder,
            f"amqp://guest:guest@127.0.0.1:{broker}/",
            None,
            dispatchers=1,
            settings_of={
                "ingest": reaching(_INGEST_TO_BROKER, _INGEST_TO_DATABASE),
                "dispatcher 1": reaching(_DISPATCHER_TO_BROKER, _DISPATCHER_TO_DATABASE),
            },
            postgres={"listen_addresses": "*"},
        )
        self._cuts = {
            "ingest-broker": (_INGEST_TO_BROKER, broker),
            "dispatcher-broker": (_DISPATCHER_TO_BROKER, broker),
            "ingest-database": (_INGEST_TO_DATABASE, _POSTGRES_PORT),
            "dispatcher-database": (_DISPATCHER_TO_DATABASE, _POSTGRES_PORT),
            "dispatcher-destination": ("127.0.0.1", self.sink_port),
            "client-ingest": ("127.0.0.1", self._doors[0]),
        }

    def cut(self, link: str) -> None:
        """Swallow every packet between the two, without a word to either."""
        self._network.cut(*self._cuts[link])

    def heal(self) -> None:
        """Let everything through again."""
        self._network.heal()

    def ends(self, link: str) -> tuple[int, int]:
        """How many connections between the two the client believes in, and the server."""
        return self._network.ends(*self._cuts[link])


@contextmanager
def apart(folder: Path) -> Iterator[Apart]:
    """A relay that is not started yet, in a network of its own with a RabbitMQ of its own."""
    with own_network() as network:
        rabbitmq = _rabbitmq(folder)
        try:
            yield Apart(folder, network, rabbitmq.port)
        finally:
            rabbitmq.close()


class _Rabbitmq(PrivateNode):
    """It listens at every address."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port, distribution, mapper = lasting_ports(3)
        name = f"posthouse{self.port}@localhost"
        place = Place(name, _EVERYWHERE, self.port, distribution, mapper)
        super().__init__(folder, installed_scripts(), place)


def _rabbitmq(folder: Path) -> _Rabbitmq:
    try:
        return _Rabbitmq(folder / "rabbitmq")
    except NoRabbitMq as reason:
        missing("RabbitMQ", str(reason))
