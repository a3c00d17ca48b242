"""`posthouse config`."""

import os
from collections.abc import Iterable, Mapping

import click

from command.commands.moving import export, import_
from command.context import json_option, print_json
from onebox.all_settings import SERVICES, OneboxSettings, known_names, read_settings
from posthouse.running.settings import (
    Described,
    Settings,
    SettingsError,
    describe,
    effective,
    load,
)

_ONEBOX = "up"
_KEY = "POSTHOUSE_SECRET_KEY"
_BROKER = "POSTHOUSE_BROKER_URL"


@click.group
def config() -> None:
    """Check settings, show those in force, list all of them; move what was set in the database."""


@config.command("check")
@click.argument(
    "programs", nargs=-1, type=click.Choice([_ONEBOX, *SERVICES]), metavar="[PROGRAM]..."
)
@json_option
def check(programs: tuple[str, ...], *, as_json: bool) -> None:
    """Check the environment's settings for PROGRAM: up, or a service.

    Without PROGRAM: all services where a RabbitMQ is set, otherwise `posthouse up`.
    """
    chosen = programs or (tuple(SERVICES) if _is_given(_BROKER, os.environ) else (_ONEBOX,))
    mistakes: dict[str, None] = {}
    found: dict[str, Mapping[str, str]] = {}
    for program in chosen:
        try:
            found[program] = _read(program, os.environ)
        except SettingsError as error:
            mistakes |= dict.fromkeys(error.mistakes)
    if mistakes:
        raise click.ClickException("\n".join(mistakes))
    if as_json:
        print_json(found)
        return
    for program, values in found.items():
        click.echo(f"# {program}")
        for name, value in values.items():
            click.echo(f"{name}={value}")


def _read(program: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The effective settings, masked; raises SettingsError."""
    if program != _ONEBOX:
        return effective(load(SERVICES[program], environ, also_known=known_names))
    told = read_settings(environ)
    parts: Iterable[Settings] = [getattr(told, name) for name in SERVICES]
    values = {name: value for part in parts for name, value in effective(part).items()}
    own = effective(load(OneboxSettings, environ, also_known=known_names))
    # Settings that were not given are made in the data folder or (the broker) in the process.
    made = {name: "" for name in (_KEY, _BROKER) if not _is_given(name, environ)}
    return {**values, **own, **made}


def _is_given(name: str, environ: Mapping[str, str]) -> bool:
    return any(environ.get(f"{name}{form}") for form in ("", "_FILE"))


config.add_command(export)
config.add_command(import_)


@config.command
def reference() -> None:
    """Print every setting as a table in Markdown."""
    click.echo("| Variable | Default | Read by | Meaning |\n| --- | --- | --- | --- |")
    for setting, readers in _all_settings():
        secret = f" (or {setting.variable}_FILE)" if setting.secret else ""
        click.echo(
            f"| `{setting.variable}`{secret} | {_default(setting)} | {', '.join(readers)} "
            f"| {setting.doc.replace('|', '&#124;')} |"
        )


def _default(setting: Described) -> str:
    if setting.default is not None:
        return f"`{setting.default}`" if setting.default else ""
    in_onebox = {described.variable for described in describe(OneboxSettings)} | {_BROKER}
    return "required but for `up`" if setting.variable in in_onebox else "required"


def _all_settings() -> list[tuple[Described, list[str]]]:
    """Every setting once, those that most programs share first, and the programs that read it."""
    found: dict[str, tuple[Described, list[str]]] = {}
    models: dict[str, type[Settings]] = {**SERVICES, _ONEBOX: OneboxSettings}
    for program, model in models.items():
        for setting in describe(model):
            found.setdefault(setting.variable, (setting, []))[1].append(program)
    return sorted(found.values(), key=lambda item: -len(item[1]))
