"""`posthouse demo` and `posthouse sink`."""

import asyncio
import json
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from demo.application import NotAccepted
from demo.output import DemoOutput
from demo.script import Story, StoryFailed
from demo.sink import Sink
from demo.stage import DemoFailed, DemoStage, compose_stage, local_stage
from posthouse.running import logs
from posthouse.running.tcp import Endpoint


@click.command
@click.option(
    "--compose", is_flag=True, help="Use the running stack of deploy/compose/demo.env instead."
)
@click.option(
    "--submission", default="127.0.0.1:2587", show_default=True, help="With --compose: STARTTLS."
)
@click.option(
    "--report", default="127.0.0.1:2680", show_default=True, help="With --compose: the sink's HTTP."
)
def demo(submission: str, report: str, *, compose: bool) -> None:
    """Run a whole relay, send mail through it in several lanes, and show what happens to it.

    It ends by itself, with status 0 when every check passed.
    """
    output = DemoOutput()
    begun = time.monotonic()
    opening: AbstractContextManager[DemoStage]
    try:
        if compose:
            opening = nullcontext(compose_stage(Endpoint.parse(submission), Endpoint.parse(report)))
        else:
            output.step("A whole relay: PostgreSQL, broker and four services in one process")
            opening = local_stage()
        with opening as stage:
            output.fact(f"it takes mail at {stage.submission}")
            good = Story(stage, output).perform()
    except (DemoFailed, StoryFailed, NotAccepted, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nThis took {time.monotonic() - begun:.0f} s.")
    sys.exit(0 if good else 1)


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
    help="HTTP: /messages lists the messages, /messages/N gives one.",
)
@click.option("--bounces", type=_ENDPOINT, help="Where reports about gone@ are sent.")
@click.option(
    "--delay",
    type=click.FloatRange(0, 60),
    default=0.0,
    show_default=True,
    help="Seconds before a message is answered.",
)
def sink(listen: Endpoint, report: Endpoint, bounces: Endpoint | None, delay: float) -> None:
    """Accept all mail and keep the newest in memory: for tests, never for real mail.

    nobody@ is refused at once; gone@ is accepted and then reported to its return path as unknown.
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
