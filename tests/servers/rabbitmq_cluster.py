"""Three RabbitMQ nodes as a cluster, each on a host of its own that can be cut off.

Set as deploy/rabbitmq says.
"""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from servers.islands import Archipelago, Island
from servers.rabbitmq_private import Place, PrivateNode, installed_scripts

NODES = 3
_RECOMMENDED = Path(__file__).parents[2] / "deploy" / "rabbitmq"
_PORT, _DISTRIBUTION, _MAPPER = 5672, 25672, 4369


class Member:
    """A node of the cluster: killed, or cut off."""

    def __init__(self, node: PrivateNode, island: Island) -> None:
        self.node = node
        self.island = island
        self.name = _name(island)


class Cluster:
    """Nodes that know each other."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.url = ",".join(member.node.url for member in members)

    def most_used(self) -> Member:
        """The node that has more connections than any other."""
        used = self.members[0].node.ctl("-q", "list_connections", "pid", "--no-table-headers")
        return max(self.members, key=lambda member: used.count(f"{member.name}."))

    def wait_until_whole(self) -> None:
        """Return when every node serves."""
        self.members[0].node.ctl("await_online_nodes", str(NODES), "-t", "120")

    def others(self, one: Member) -> list[Member]:
        """All but that."""
        return [member for member in self.members if member is not one]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A running one; raises NoRabbitMq or NoIslands."""
    scripts = installed_scripts()
    with ExitStack() as stack:
        islands = stack.enter_context(Archipelago(folder, NODES)).islands
        cookie = secrets.token_hex(16)

        def member(island: Island) -> Member:
            home = folder / island.address
            home.mkdir()
            (home / ".erlang.cookie").write_text(cookie)
            (home / ".erlang.cookie").chmod(0o400)
            node = PrivateNode(home, scripts, _place(island, islands[0]))
            stack.callback(node.close)
            return Member(node, island)

        first = member(islands[0])  # the others ask it
        with ThreadPoolExecutor() as threads:
            yield Cluster([first, *threads.map(member, islands[1:])])


def _name(island: Island) -> str:
    return f"rabbit@{island.address}"


def _place(island: Island, first: Island) -> Place:
    known = dict.fromkeys((_name(first), _name(island)))
    conf = [
        (_RECOMMENDED / "20-posthouse.conf").read_text(),
        (_RECOMMENDED / "30-cluster.conf").read_text(),
        "disk_free_limit.absolute = 1MB",
        "loopback_users = none",
        "cluster_formation.peer_discovery_backend = classic_config",
        *(f"cluster_formation.classic_config.nodes.{n} = {name}" for n, name in enumerate(known)),
    ]
    return Place(
        _name(island),
        island.address,
        _PORT,
        _DISTRIBUTION,
        _MAPPER,
        "\n".join([*conf, ""]),
        island.enter,
    )
