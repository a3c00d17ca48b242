"""A Prometheus that scrapes a target each second, with our rules."""

import asyncio
import json
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.promtool import need_prometheus
from posthouse.running.tcp import Endpoint
from servers.guarded import Guarded
from servers.patience import eventually, on_this_machine
from servers.ports import lasting_ports

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules"
_CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yml"]
scrape_configs:
  - job_name: posthouse
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """One that runs, and its answers."""

    port: int

    async def ask(self, expr: str) -> list[dict[str, Any]]:
        """The samples of a query as it is now."""
        return await asyncio.to_thread(self._get, "query", {"query": expr})

    async def value(self, expr: str) -> float | None:
        """The only sample of a query; None where there is none."""
        samples = await self.ask(expr)
        return float(samples[0]["value"][1]) if samples else None

    async def firing(self) -> set[str]:
        """The alerts that fire."""
        return {
            sample["metric"]["alertname"]
            for sample in await self.ask('ALERTS{alertstate="firing"}')
        }

    async def has_scraped_again(self, times: int = 3) -> None:
        """Wait until it has scraped what there is now, and evaluated its rules since."""
        wanted = await self._scrapes() + times

        async def done() -> bool:
            return await self._scrapes() >= wanted

        await eventually(done, within=30, look=0.2)

    async def _scrapes(self) -> int:
        """Of the target that was scraped the fewest times."""
        return int(await self.value("min(count_over_time(up{job='posthouse'}[1h]))") or 0)

    async def ask_between(
        self, expr: str, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """The series of a query; times are seconds since 1970, *step* seconds."""
        span = {"query": expr, "start": str(start), "end": str(end), "step": str(step)}
        return await asyncio.to_thread(self._get, "query_range", span)

    def _get(self, path: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=on_this_machine(10)) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


@asynccontextmanager
async def prometheus(
    folder: Path, target: Endpoint, *, rules: Path = RULES
) -> AsyncIterator[PrometheusServer]:
    """One that watches *target* by the *rules* of a folder, with its data in *folder*."""
    await asyncio.to_thread(need_prometheus)
    (port,) = lasting_ports(1)
    configuration = folder / "prometheus.yml"
    configuration.write_text(_CONFIGURATION.format(rules=rules, target=target))
    command = (
        *("prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder}/tsdb"),
        f"--web.listen-address=127.0.0.1:{port}",
    )
    running = Guarded(command, {"PATH": "/usr/bin:/bin"}, folder / "prometheus.log")
    server = PrometheusServer(port)

    async def scrapes() -> bool:
        assert running.running, (folder / "prometheus.log").read_text()[-2000:]
        try:
            return await server.value("up{job='posthouse'}") == 1
        except (urllib.error.URLError, OSError):
            return False

    try:
        await eventually(scrapes, within=30, look=0.2)
        yield server
    finally:
        await asyncio.to_thread(running.end, signal.SIGTERM)
