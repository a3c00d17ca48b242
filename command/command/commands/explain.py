"""`posthouse explain`: what Posthouse would make of something, and why."""

import json
import sys

import click

from command.commands.explain_message import message
from posthouse.answers import RULES_VERSION, Answer, Judgement, Stage, judge, read_answer

_STAGES = {
    "greeting": Stage.GREETING,
    "ehlo": Stage.EHLO,
    "starttls": Stage.STARTTLS,
    "mail": Stage.MAIL,
    "rcpt": Stage.RCPT,
    "data": Stage.DATA,
    "dot": Stage.DOT,
    "report": Stage.REPORT,
    "prose": Stage.PROSE,
}


@click.group
def explain() -> None:
    """Say what Posthouse would make of something, and why; nothing is sent or changed."""


explain.add_command(message)


@explain.command
@click.argument("text")
@click.option(
    "--stage",
    type=click.Choice(list(_STAGES)),
    default="rcpt",
    show_default=True,
    help="What it answers: a command, the content (dot); or where it stands in returned mail.",
)
@click.option("--status", default="", help="The Status field of the report that it stands in.")
@click.option(
    "--recipients",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="For how many recipients it speaks.",
)
@click.option("--provider", default="", help="Whose answer it is, such as google or microsoft.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def reply(
    text: str, stage: str, status: str, recipients: int, provider: str, *, as_json: bool
) -> None:
    """Say what a server's reply means. TEXT is the reply; "-" reads it from standard input."""
    if text == "-":
        text = sys.stdin.read()
    elif "\\n" in text:
        text = text.replace("\\n", "\n")
    said = read_answer(
        text, _STAGES[stage], status=status, recipients=recipients, provider=provider
    )
    judged = judge(said)
    facts = _facts(said, judged)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        click.echo(f"{name:<10} {_in_words(value)}")


def _facts(said: Answer, judged: Judgement) -> dict[str, object]:
    return {
        "class": judged.kind.value,
        "scope": judged.scope.value,
        "permanent": judged.permanent,
        "suppresses": judged.suppresses,
        "evidence": judged.evidence.value,
        "rule": judged.rule,
        "why": judged.why,
        "rules": RULES_VERSION,
        "stage": said.stage.value,
        "code": said.code,
        "enhanced": list(said.enhanced),
    }


def _in_words(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(value) or "none"
        case None:
            return "none"
        case _:
            return str(value)
