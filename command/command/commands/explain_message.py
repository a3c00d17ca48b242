"""`posthouse explain message`."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from command.commands.message_timeline import message_id
from command.context import data_option, friendly_errors, json_option, print_json, with_secret_key
from command.explained_terms import report_lines, reports, resubmission, resubmission_lines
from command.rehearsal import Letter, RehearsedAdmission, RehearsedPreparation, Verdict
from command.rehearser import Rehearser, letter_of, letter_of_past
from command.table import print_line
from ingest.core.admission import SessionFacts
from ingest.core.refusals import Refusal
from onebox.all_settings import UpSettings, read_settings
from policy.core.decision import Plan
from posthouse.mail.submission import RecipientKind, Submission
from posthouse.running.identity import new_id
from posthouse.store.past_submissions import PastSubmission, PastSubmissions
from posthouse.store.postgres import Postgres


@dataclass(frozen=True, slots=True)
class _Explained:
    facts: SessionFacts
    admitted: RehearsedAdmission
    prepared: RehearsedPreparation | None  # None: it is refused
    terms: dict[str, Any] = field(default_factory=dict)  # reports, and what if it comes again


@click.command
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--id", "id_", metavar="ID", help="In place of FILE: a message that was accepted.")
@click.option("--credential", metavar="USER", help="Who would submit FILE.")
@click.option(
    "--sender",
    metavar="ADDRESS",
    help="MAIL FROM; <> for none. Default: as the header says. Parameters of DSN may stand behind "
    "it, as in 'jo@a.example RET=HDRS'.",
)
@click.option(
    "--to",
    "recipients",
    multiple=True,
    metavar="ADDRESS",
    help="RCPT TO, repeatable. Default: all in To, Cc and Bcc. Parameters may stand behind it, as "
    "in 'ann@b.example NOTIFY=SUCCESS'.",
)
@json_option
@data_option
def message(
    file: Path | None,
    id_: str | None,
    credential: str | None,
    sender: str | None,
    recipients: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Say what becomes of the message in FILE, rule by rule; nothing is sent or kept.

    With --id a message that was accepted is decided about once more, under the revision of the
    profile that it had, with the lists, domains and keys of today.
    """
    if (file is None) is (id_ is None) or (file is not None and credential is None):
        raise click.UsageError("give FILE and --credential, or --id")
    with friendly_errors():
        settings = read_settings(os.environ)
        letter = letter_of(file.read_bytes(), sender, recipients) if file else None

    async def work(database: Postgres, key: bytes) -> _Explained:
        rehearser = Rehearser(database, key, settings)
        if letter is None:
            return await _explained_again(rehearser, await _past(database, str(id_)))
        facts = await rehearser.session(str(credential))
        return await _explained(rehearser, letter, facts, new_id())

    _print(_told(with_secret_key(work), settings), as_json=as_json)


def _print(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        print_line("\n".join(_lines(told)))


async def _past(database: Postgres, text: str) -> PastSubmission:
    past = await PastSubmissions(database).find(id_ := message_id(text))
    if past is None:
        raise click.ClickException(f"there is no message {id_}, or it is not kept any more")
    return past


async def _explained_again(rehearser: Rehearser, past: PastSubmission) -> _Explained:
    facts = await rehearser.session_of(past)
    return await _explained(rehearser, letter_of_past(past, facts.profile), facts, past.id)


async def _explained(
    rehearser: Rehearser, letter: Letter, facts: SessionFacts, id_: UUID
) -> _Explained:
    now = datetime.now(UTC)
    admitted = await rehearser.admit(letter, facts, id_, now)
    accepted = admitted.result
    if not isinstance(accepted, Submission):
        return _Explained(facts, admitted, None)
    prepared = await rehearser.prepare(accepted, facts.profile, now)
    wants = await rehearser.wants_reports(accepted.account_id)
    first = await rehearser.accepted_before(accepted)
    before = first if first and first[0] != id_ else None  # a past one is no repeat of itself
    mode, window, key = facts.resubmission, rehearser.resubmission_window, accepted.terms.key
    terms = {
        "reports": reports(accepted, facts.profile, account_wants=wants),
        "submitted_again": resubmission(mode, window, key, before),
    }
    return _Explained(facts, admitted, prepared, terms)


def _told(found: _Explained, settings: UpSettings) -> dict[str, Any]:
    """Everything that is said, as data."""
    facts, admitted = found.facts, found.admitted
    told: dict[str, Any] = {
        "profile": f"{facts.profile_name}, revision {facts.profile_revision}",
        "admission": list(map(_verdict, admitted.verdicts)),
    }
    if isinstance(admitted.result, Refusal):
        return {**told, "result": f"refused: {admitted.result.reply}"}
    assert found.prepared is not None
    accepted, decision = admitted.result, found.prepared.result
    told |= {
        "preparation": list(map(_verdict, found.prepared.verdicts)),
        "lane": accepted.lane.label,
        "recipients": _recipients(accepted, found.prepared),
        **found.terms,
    }
    if not isinstance(decision, Plan):
        return {**told, "result": f"accepted, and then quarantined: {decision.reason}"}
    return {
        **told,
        "signed": decision.detail["signed"],
        "note": decision.detail.get("note", ""),
        "first_attempt": _first_attempt(accepted, decision, settings),
        "result": _result(decision),
    }


def _result(plan: Plan) -> str:
    if plan.sandboxed:
        return "accepted, and kept in the sandbox"
    return "accepted and sent" if plan.deliveries else "accepted, and sent to nobody"


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return verdict._asdict()


def _recipients(accepted: Submission, prepared: RehearsedPreparation) -> list[dict[str, str]]:
    """Who gets a copy, and who does not and why."""
    rows = []
    decision, attributes = prepared.result, accepted.attributes
    suppressed = decision.suppressed if isinstance(decision, Plan) else ()
    kept = decision.sandboxed if isinstance(decision, Plan) else ()
    reasons = {a: "kept in the sandbox" for one in kept for a in one.recipients}
    reasons |= {a: "yes" for one in kept for a in one.delivered_to}
    reasons |= {each.address: f"suppressed: {each.detail()['list']} list" for each in suppressed}
    for address in accepted.recipients:
        kind = attributes.kinds.get(address, RecipientKind.TO)
        rows.append({"address": address, "kind": kind, "copy": reasons.get(address, "yes")})
    for address, rule in attributes.discarded:
        rows.append({"address": address, "kind": "", "copy": f"discarded by {rule}"})
    return rows


def _first_attempt(accepted: Submission, plan: Plan, settings: UpSettings) -> list[str]:
    """When and where each domain is tried first."""
    at = accepted.terms.send_at
    when = f"at {at.isoformat()}" if at else "at once"
    routes = settings.dispatcher.routes
    domains = dict.fromkeys(d.recipient.rpartition("@")[2].lower() for d in plan.deliveries)
    return [f"{when}, {domain}: {routes.hop_for(domain) or 'its MX'}" for domain in domains]


def _lines(told: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [f"profile: {told['profile']}"]
    for part in ("admission", "preparation"):
        if part in told:
            lines += ["", f"{part}:"]
        for verdict in told.get(part, ()):
            lines.append(f"  {verdict['name']}: {verdict['promise']}")
            lines += [f"      {change}" for change in verdict["changes"]]
    if "recipients" in told:
        lines += ["", "recipients:"]
        lines += [
            f"  {r['address']} ({r['kind'] or 'none'}): {r['copy']}" for r in told["recipients"]
        ]
        lines += ["", *report_lines(told["reports"])]
        lines += ["", *resubmission_lines(told["submitted_again"])]
        lines += [f"lane: {told['lane']}"]
    if "signed" in told:
        lines.append(f"signed by: {', '.join(told['signed']) or 'nobody'}")
        lines += [f"note: {told['note']}"] if told["note"] else []
        lines += [f"first attempt: {each}" for each in told["first_attempt"]]
    return [*lines, "", f"result: {told['result']}"]
