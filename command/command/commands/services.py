"""`posthouse ingest` and the others: one service as a program of its own."""

import sys
from importlib import import_module

import click

from onebox.all_settings import SERVICES, known_names
from posthouse.running.program import run_program


def _verb(name: str) -> click.Command:
    def run() -> None:
        wiring = import_module(f"{name}.wiring")
        # Services of one installation may share an environment.
        sys.exit(run_program(name, SERVICES[name], wiring.build, also_known=known_names))

    text = f"Run the {name} service until it is stopped; everything is set by the environment."
    return click.command(name, help=text)(run)


ingest = _verb("ingest")
policy = _verb("policy")
dispatcher = _verb("dispatcher")
bounces = _verb("bounces")
tracking = _verb("tracking")
webhooks = _verb("webhooks")
console = _verb("console")
