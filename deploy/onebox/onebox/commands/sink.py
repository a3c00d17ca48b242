"""`posthouse sink`."""

import asyncio
import json
import signal
import sys
from typing import Any

import click

from onebox.sink import Sink
from posthouse.running import logs
from posthouse.running.endpoint import Endpoint


class _EndpointType(click.ParamType[Endpoint]):
    name = "HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Endpoint:
        if isinstance(value, Endpoint):
            return value
        try:
            return Endpoint.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_ENDPOINT = _EndpointType()


@click.command
@click.option("--listen", type=_ENDPOINT, default="127.0.0.1:2600", show_default=True)
@click.option(
    "--report",
    type=_ENDPOINT,
    default="127.0.0.1:2680",
    show_default=True,
    help="HTTP: /messages tells what came, /messages/N gives one.",
)
@click.option("--bounces", type=_ENDPOINT, help="Where mail for gone@ is reported to.")
@click.option(
    "--delay",
    type=click.FloatRange(0, 60),
    default=0.0,
    show_default=True,
    help="Seconds before a message is answered.",
)
def sink(listen: Endpoint, report: Endpoint, bounces: Endpoint | None, delay: float) -> None:
    """Take all mail and keep the newest in memory: for trying out, never for real mail.

    nobody@ is refused at once; gone@ is taken and reported to its return path as not existing.
    """
    logs.configure("sink", stream=sys.stderr)
    try:
        asyncio.run(_serve(Sink(delay=delay, bounces=bounces), listen, report))
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror or error}") from error


async def _serve(sink: Sink, listen: Endpoint, report: Endpoint) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    smtp, http = await sink.open(listen, report)
    ready = {"event": "ready", "smtp": _where(smtp), "report": _where(http)}
    click.echo(json.dumps(ready))
    await stopping.wait()
    await sink.close()


def _where(endpoint: Endpoint) -> dict[str, object]:
    return {"host": endpoint.host, "port": endpoint.port}
