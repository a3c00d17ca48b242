"""The `posthouse` command. Quick to start: probes and scripts call it too."""

from importlib import import_module
from importlib.util import find_spec

import click

# Each command: its module, which is imported when the command is called, and its line in `--help`.
_COMMANDS = {
    "up": ("up", "Run the whole relay on this machine until it is stopped."),
    "init": ("setup", "Make the data folder, secret key, certificate and database."),
    "migrate": ("setup", "Bring the database to the schema of this version."),
    "certificate": ("certificate_commands", "Make or replace the certificate in the data folder."),
    "account": ("account", "Create, list, hold and release accounts; what each hears of failures."),
    "stream": ("stream", "Lists and mailings: settings, statistics and billing of their mail."),
    "webhook": ("webhook", "Endpoints that are told of events over HTTP."),
    "profile": (
        "profile_commands",
        "How mail of a user is treated: presets, and profiles of accounts.",
    ),
    "credential": ("credential", "Create, list and change SMTP users."),
    "domain": ("domain", "Add sending domains and print the records to publish."),
    "suppression": ("suppression", "Addresses that are not mailed."),
    "report": ("mail_reports", "What became of mail: counts, messages, deliverability, a bill."),
    "audit": ("audit", "What operators did, and who."),
    "bounce": ("bounce", "What a returned message means, and why."),
    "postmaster": ("postmaster", "Mail to postmaster@ and abuse@ that was kept."),
    "sandbox": ("sandbox_mail", "Mail from the sandbox domain, kept to be read."),
    "queue": ("queue", "Mail that waits, by lane and state, and quarantined mail."),
    "backup": ("backup", "Save the database into a file, while mail goes on."),
    "restore": ("backup", "Fill an empty database from such a file; nothing is sent twice."),
    "find": ("find", "Find messages by recipient, sender, user, tag, subject, time or state."),
    "message": ("message_timeline", "Print the timeline of one message."),
    "events": ("event_lines", "Print what happens to mail as JSON lines, or follow it."),
    "send": ("send", "Submit a test message over SMTP."),
    "explain": ("explain", "Say what would become of a message or a server's reply, and why."),
    "backtest": (
        "backtest",
        "Run past mail through a changed profile: what comes out differently.",
    ),
    "migrate-rehearse": (
        "migrate_rehearse",
        "Run old mail through its old dialect and ours: what differs.",
    ),
    "doctor": ("doctor", "Check the whole installation: what is wrong, and what mends it."),
    "config": ("config", "Check settings, list them; move what was set to another database."),
    "ingest": ("services", "Run the service that accepts mail."),
    "policy": ("services", "Run the service that rewrites and signs."),
    "dispatcher": ("services", "Run the service that delivers."),
    "bounces": ("services", "Run the service that takes returned mail."),
    "tracking": ("services", "Run the service that recipients' clients call."),
    "webhooks": ("services", "Run the service that tells customers what happens."),
    "console": ("services", "Run the service that answers customers over HTTP."),
}
# The same for the commands of the demo, if it is installed.
_DEMO = {
    "demo": ("demo.demo_commands", "Show the whole relay at work on this machine, and check it."),
    "sink": ("demo.demo_commands", "Run an SMTP server that accepts mail for the demo."),
}


def _available() -> dict[str, tuple[str, str]]:
    own = {name: (f"command.commands.{file}", line) for name, (file, line) in _COMMANDS.items()}
    return {**own, **(_DEMO if find_spec("demo") else {})}


class _Commands(click.Group):
    """Imports a command when it is called, not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_available())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module, _ = _available().get(cmd_name, (None, ""))
        if module is None:
            return None
        command = getattr(import_module(module), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _available().items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="posthouse", prog_name="posthouse")
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    help="Folder of the onebox: database, secret key, certificate.  [env: POSTHOUSE_DATA; ./data]",
)
def posthouse(data: str | None) -> None:
    """Posthouse, an SMTP relay of your own.

    Every setting is also an environment variable: `posthouse config reference` lists them.
    """
    del data  # read from the context by those commands that work on an installation


def main() -> None:
    """Run the command line; exits 1 with one line on standard error when something is wrong."""
    posthouse(prog_name="posthouse")
