"""`posthouse ingest`, `policy`, `dispatcher` and `bounces`: one service as a program of its own."""

import runpy

import click

_HELP = "Run the {0} service until it is stopped. Everything is set by POSTHOUSE_ variables."


def _verb(name: str) -> click.Command:
    def run() -> None:
        # As `python -m NAME`: a service is started in one way, whoever starts it.
        runpy.run_module(name, run_name="__main__")

    return click.command(name, help=_HELP.format(name))(run)


ingest = _verb("ingest")
policy = _verb("policy")
dispatcher = _verb("dispatcher")
bounces = _verb("bounces")
