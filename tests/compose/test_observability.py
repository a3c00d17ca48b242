"""The profile `observability`: what each panel asks has an answer. A part of `make compose`."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from bench.sink import Sink

from compose.compose_files import services
from compose.composed_relay import ComposedRelay
from compose.stack import Stack, gateway
from compose.stand_ins import BASE, images_of, is_had
from monitoring.asked import asked, has_data
from monitoring.busy_relay import MANNERS, SETTINGS, BusyRelay
from monitoring.dashboards import DASHBOARDS
from monitoring.prometheus_server import PrometheusServer
from servers.forwarding import forward
from servers.patience import eventually
from servers.rabbitmq_container import docker_answers

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers"),
    pytest.mark.asyncio(loop_scope="module"),
]

WATCHING = ("prometheus", "alertmanager", "postgres-exporter", "node-exporter")
GRAFANA = services(profiles=("observability",))["grafana"]["image"]
HERE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")  # where an engine has its networks
LISTENERS = (
    "0.0.0.0:2587/opportunistic",
    "0.0.0.0:2580/http" + "".join(f"+proxy={network}" for network in HERE),
)
# What this load does not bring about: those queries are only understood, here.
NOT_HERE = {
    "posthouse_sites_limited": "all mail goes by a route, which has no such limit",
    "posthouse_lane_paused_seconds_total": "no lane is so busy",
    "posthouse_housekeeping_failures_total": "nothing fails",
    "posthouse_amqp_hints_dropped_total": "the broker is never away",
    "posthouse_worker_restarts_total": "each service is one process: the engine starts it again",
    "ALERTS": "nothing fires",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """A stack, the relay in it, and its Prometheus."""

    stack: Stack
    relay: ComposedRelay
    prometheus: PrometheusServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    has_grafana = is_had(GRAFANA)
    async with Sink(MANNERS) as sink:
        server = await forward(
            gateway(), 0, lambda: asyncio.open_connection("127.0.0.1", sink.port)
        )
        port = server.sockets[0].getsockname()[1]
        stack = Stack(
            tmp_path_factory.mktemp("observed"),
            COMPOSE_PROFILES="observability",
            POSTHOUSE_HOSTNAME="relay.example",
            POSTHOUSE_ROUTES=f"[{gateway()}]:{port}",
            POSTHOUSE_INGEST_LISTENERS=",".join(LISTENERS),
            PROMETHEUS_PORT="127.0.0.1:0",
            ALERTMANAGER_PORT="127.0.0.1:0",
            GRAFANA_PORT="127.0.0.1:0",
            **SETTINGS,
            **images_of(*WATCHING),
            **({} if has_grafana else {"GRAFANA_IMAGE": BASE}),
        )
        try:
            await asyncio.to_thread(stack.up, "--scale", f"grafana={int(has_grafana)}")
            relay = ComposedRelay.of(stack, sink)
            yield Watched(stack, relay, PrometheusServer(stack.address("prometheus", 9090)[1]))
        finally:
            await asyncio.to_thread(stack.down)
            server.close()


async def test_every_program_is_watched(watched: Watched) -> None:
    async def found() -> bool:
        samples = await watched.prometheus.ask("count by (job, service) (up == 1)")
        seen = {(s["metric"]["job"], s["metric"].get("service")) for s in samples}
        ours = ("ingest", "policy", "dispatcher", "bounces", "tracking", "webhooks", "console")
        others = ("rabbitmq", "postgres", "node")
        return seen == {*(("posthouse", name) for name in ours), *((n, None) for n in others)}

    await eventually(found, within=60, look=1)
    own = await asyncio.to_thread(watched.stack.metrics, "prometheus", 9090)
    assert "prometheus_notifications_alertmanagers_discovered 1\n" in own


async def test_one_message_is_shown(watched: Watched) -> None:
    queries = {query.line: query.expr for query in asked()}
    user = await watched.relay.login("first", "native", "--domain", "first.example")
    await watched.prometheus.has_scraped_again(2)  # from here on its counters can be seen to grow
    await watched.relay.submit(
        user, "a@first.example", ["b@dest.example"], b"From: a@first.example\r\n\r\nx\r\n"
    )
    for line in ("overview: Now: Accepted: ", "overview: Now: Delivered: "):

        async def shown(expr: str = queries[line]) -> bool:
            return (await watched.prometheus.value(expr) or 0) > 0

        await eventually(shown, within=60, look=1)


async def test_every_panel_has_data(watched: Watched) -> None:
    busy = await BusyRelay.of(watched.relay)
    for number in (1, 2):  # a rate is of two samples
        await busy.round(number)
        await watched.prometheus.has_scraped_again(2)

    answers = {query: await watched.prometheus.ask(query.expr) for query in asked()}

    empty = {query.line for query, samples in answers.items() if not has_data(samples)}
    allowed = {query.line for query in answers if query.is_about(NOT_HERE)}
    assert empty <= allowed, sorted(empty - allowed)


async def test_grafana_has_the_dashboards(watched: Watched) -> None:
    if not is_had(GRAFANA):
        pytest.skip(f"no image {GRAFANA}: nothing tries whether Grafana takes the dashboards")
    inside = ("exec", "-T", "grafana")
    password = watched.stack.run(*inside, "cat", "/run/posthouse/dashboard/password").stdout.strip()
    for dashboard in DASHBOARDS:
        url = (
            f"http://admin:{password}@127.0.0.1:3000/api/dashboards/uid/posthouse-{dashboard.name}"
        )
        said = watched.stack.run(*inside, "wget", "-q", "-O", "-", url).stdout
        assert json.loads(said)["meta"]["provisioned"]
