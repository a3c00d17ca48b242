"""Probes tracking hosts of sending domains again and again: only those that lead here are used."""

import asyncio
import random
from datetime import timedelta

import structlog
from prometheus_client import Gauge

from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.tracking_hosts import DueHost, TrackingHosts
from tracking.host_probe import HostProbe

UNUSED = Gauge(
    "posthouse_tracking_hosts_unused",
    "Tracking hosts of sending domains that are not used, since probes do not find them here.",
)
# Five probes fail before a host is out of use (`posthouse.store.tracking_hosts.LED_HERE`).
_AGAIN = timedelta(minutes=2)
_LOOK_SECONDS = 10.0
_AT_ONCE = 32  # a probe of a host that is silent takes five seconds

log = structlog.get_logger()


class TrackingHostWatch:
    """Runs in every tracking process; each host is probed by one at a time."""

    def __init__(
        self, hosts: TrackingHosts, probe: HostProbe, *, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._hosts = hosts
        self._probe = probe
        self._look_seconds = look_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until *stopping*; if the database is away, it is tried again."""
        failures = 0
        async with self._probe:
            while not stopping.is_set():
                wait = self._look_seconds
                try:
                    await self.look(stopping)
                    failures = 0
                except (StoreUnavailable, StoreRefused) as error:
                    failures += 1
                    log.warning("hosts_not_probed", reason=str(error), failures=failures)
                    wait += wait_before_retry(failures, random.random())  # noqa: S311
                except Exception:  # a mistake of ours must not end the process
                    log.exception("hosts_not_probed")
                await wait_for_event(stopping, wait)

    async def look(self, stopping: asyncio.Event) -> None:
        """Probe what is due; until told to stop."""
        while not stopping.is_set():
            due = await self._hosts.claim(_AT_ONCE, _AGAIN)
            if not due:
                break
            found = await asyncio.gather(*(self._probe.finding(one.host) for one in due))
            for one, finding in zip(due, found, strict=True):
                await self._hosts.note(one, finding)
                _report(one, finding)
        UNUSED.set(await self._hosts.unused())


def _report(due: DueHost, finding: str | None) -> None:
    """Log what has changed."""
    if due.is_probed and due.finding == finding:
        return
    if finding is None:
        log.info("tracking_host_leads_here", domain=due.domain, host=due.host)
    else:
        log.warning("tracking_host_fails", domain=due.domain, host=due.host, reason=finding)
