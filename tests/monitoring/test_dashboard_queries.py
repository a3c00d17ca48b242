"""Each query of the dashboards has data, as asked of a Prometheus that watches a busy relay."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from monitoring.asked import Asked, asked, has_data
from monitoring.busy_relay import MANNERS, SETTINGS, BusyRelay, open_to_others
from monitoring.prometheus_server import PrometheusServer, prometheus
from servers.shared_relay import SharedRelay, shared_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What this load does not bring about: those queries are only understood, here.
NOT_HERE = {
    "posthouse_amqp_connected": "no RabbitMQ: one process has its broker in memory",
    "posthouse_amqp_hints_received_total": "no RabbitMQ",
    "posthouse_amqp_hints_dropped_total": "no RabbitMQ",
    "posthouse_sites_limited": "all mail goes by a route, which has no such limit",
    "posthouse_lane_paused_seconds_total": "no lane is so busy",
    "posthouse_housekeeping_failures_total": "nothing fails",
    "ALERTS": "nothing fires",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """A relay that has been under load, and the Prometheus that watched it."""

    relay: SharedRelay
    prometheus: PrometheusServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    folder = open_to_others(tmp_path_factory.mktemp("watched"))
    async with (
        shared_relay(folder, ("opportunistic", "http"), MANNERS, **SETTINGS) as relay,
        prometheus(folder, relay.health) as server,
    ):
        busy = await BusyRelay.of(relay)
        for number in (1, 2):  # a rate is of two samples
            await busy.round(number)
            await server.has_scraped_again()
        yield Watched(relay, server)


@pytest.mark.parametrize("query", asked(), ids=lambda query: query.line)
async def test_a_query_has_data(watched: Watched, query: Asked) -> None:
    samples = await watched.prometheus.ask(query.expr)
    assert has_data(samples) or query.is_about(NOT_HERE), query.expr


async def test_what_is_not_brought_about_is_asked_for() -> None:
    text = "".join(query.expr for query in asked())
    assert all(name in text for name in NOT_HERE)


async def test_series_stay_few_and_name_no_domain_and_no_address(watched: Watched) -> None:
    """Eleven providers, nineteen classes and five lanes bound them, not who sends."""
    names = "posthouse_.*"
    count = await watched.prometheus.value(f'count({{__name__=~"{names}"}})')
    assert count is not None
    assert 1_500 > count

    series = await watched.prometheus.ask(f'{{__name__=~"{names}"}}')
    ours = ("instance", "listener", "version", "python", "le", "__name__")
    said = {v for one in series for k, v in one["metric"].items() if k not in ours}
    assert {value for value in said if re.search(r"@|\.(com|example)\b", value)} == set()


async def test_a_relay_at_rest_has_no_critical_alert(watched: Watched) -> None:
    critical = await watched.prometheus.ask('ALERTS{severity="critical", alertstate="firing"}')
    assert critical == []
