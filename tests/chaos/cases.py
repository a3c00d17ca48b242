"""What is done to a relay under load, and what it then promises."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.sink_session import Manners

from chaos.flow import SLOW
from chaos.strikes import Blow, How, in_turn
from chaos.tally import Count

_SERVICES = ("ingest", "policy", "dispatcher", "bounces")
_SERVERS = ("postgres", "rabbitmq")
# Servers take seconds to come back: struck a quarter as often as services.
_SERVER_SHARE = 4


@dataclass(frozen=True, slots=True)
class Case:
    """Messages, and blows spread over their way."""

    name: str
    says: str  # what is done, for people
    split: bool = True  # services on RabbitMQ and PostgreSQL; else the onebox
    services: Sequence[str] = ()
    servers: Sequence[str] = ()
    how: How = How.KILL
    together: bool = False  # all at the same moment, as seldom as servers
    manners: Manners = SLOW
    told: bool = False  # a customer's endpoint, which fails now and then, is told of the events

    def blows(self, strikes: int) -> list[Blow]:
        """What is hit, in order, when each service is to be hit *strikes* times."""
        seldom = max(strikes // _SERVER_SHARE, 1)
        if self.together:
            return [(*self.services, *self.servers)] * seldom
        times = dict.fromkeys(self.services, strikes) | dict.fromkeys(self.servers, seldom)
        return in_turn(times)

    def broken(self, messages: int, count: Count) -> tuple[str, ...]:
        """Which promises were not kept, in words.

        A message may arrive twice where a kill or the sink left open whether it had arrived; each
        such delivery must have its `uncertain` event. A stop leaves nothing open, and not even a
        client has to wonder, but for one that was answered by a database that went.
        """
        killed = self.how is How.KILL
        in_doubt = killed or "postgres" in self.servers
        faults = {
            f"{messages - count.accepted} not accepted": count.accepted != messages,
            f"{count.refused} refused for good": count.refused,
            f"{count.lost} lost": count.lost,
            f"{count.unlogged} doubled without an uncertain event": count.unlogged,
            f"{count.doubled} doubled without need": count.doubled and not killed,
            f"{count.uncertain} uncertain for {count.cut} cut": count.uncertain != count.cut
            and not in_doubt,
            f"{count.resubmitted} submitted twice": count.resubmitted and not in_doubt,
            f"{count.delivered_twice} recorded as delivered twice": count.delivered_twice,
            f"records and sink differ by {count.unexplained}": count.unexplained,
            "the sink cut nothing": self.manners.cut and not count.cut,
        }
        return tuple(words for words, wrong in faults.items() if wrong)


# Refused and cut ones wait for their next try; `Flow.all_through` has them tried at once.
_RUDE = Manners(delay=SLOW.delay, cut=0.02, soft=0.05, seed=3)

CASES = (
    Case("onebox", "posthouse up killed", split=False, services=("onebox",)),
    Case("onebox-worker", "one process of posthouse up killed", split=False, services=("worker",)),
    Case(
        "webhooks",
        "one process of posthouse up killed while it tells an endpoint that fails now and then",
        split=False,
        services=("worker",),
        told=True,
    ),
    Case("onebox-database", "its PostgreSQL killed", split=False, servers=("database",)),
    Case(
        "onebox-stop",
        "posthouse up stopped by SIGTERM",
        split=False,
        services=("onebox",),
        how=How.STOP,
    ),
    Case(
        "onebox-cut",
        "sink cuts after the dot, and refuses some for now",
        split=False,
        how=How.STOP,
        manners=_RUDE,
    ),
    Case(
        "split",
        "services, PostgreSQL and RabbitMQ killed in turn",
        services=_SERVICES,
        servers=_SERVERS,
    ),
    Case("services-stop", "services stopped in turn by SIGTERM", services=_SERVICES, how=How.STOP),
    Case("servers-stop", "PostgreSQL and RabbitMQ stopped in turn", servers=_SERVERS, how=How.STOP),
    Case(
        "all-at-once",
        "everything killed at the same moment",
        services=_SERVICES,
        servers=_SERVERS,
        together=True,
    ),
    Case("wiped", "RabbitMQ's data wiped", servers=("memory",), how=How.STOP),
    Case(
        "split-cut",
        "sink cuts after the dot, and refuses some for now",
        how=How.STOP,
        manners=_RUDE,
    ),
    *(Case(name, f"{name} killed", services=(name,)) for name in _SERVICES),
    *(Case(name, f"{name} killed", servers=(name,)) for name in _SERVERS),
)
