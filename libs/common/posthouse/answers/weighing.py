"""What an answer counts against the address that it is about, by the rules of today."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from posthouse.answers.answer import Answer, AnswerClass, Evidence, Judgement, Stage
from posthouse.answers.judging import judge
from posthouse.answers.reply_codes import read_answer
from posthouse.answers.rule_table import RULES_VERSION
from posthouse.mail.address_failure import AddressFailure, FailureWeight
from posthouse.mail.scope import Scope

_Weighed: TypeAlias = Sequence[tuple[Mapping[str, Any], FailureWeight | None]]

# About this mailbox, and it may pass: counts only when it did not within days.
_PASSING = frozenset({AnswerClass.UNCLEAR, AnswerClass.MAILBOX_RATE})
_WEIGHTS = {Evidence.HARD: FailureWeight.HARD, Evidence.SOFT: FailureWeight.SOFT}


def weight_of(judgement: Judgement, *, expired: bool = False) -> FailureWeight | None:
    """How such an answer counts; None when it says nothing against an address.

    *expired*: it was the last one to a message that was tried for days.
    """
    if judgement.kind is AnswerClass.DOMAIN_GONE and judgement.permanent:
        return FailureWeight.GONE
    if expired and judgement.scope is Scope.RECIPIENT and judgement.kind in _PASSING:
        return FailureWeight.SOFT
    return _WEIGHTS.get(judgement.evidence)


def failure_of(
    answer: Answer, judgement: Judgement, *, expired: bool = False, **source: str
) -> AddressFailure | None:
    """What *answer* counts against the recipient; None when it says nothing against an address.

    *expired*: it was the last one to a message that was tried for days. *source*: where it comes
    from, such as the host.
    """
    weight = weight_of(judgement, expired=expired)
    if weight is None:
        return None
    return AddressFailure(
        weight,
        kind=judgement.kind,
        answer=answer.text,
        stage=answer.stage,
        code=answer.code,
        enhanced=answer.enhanced,
        provider=answer.provider,
        recipients=answer.recipients,
        expired=expired,
        rule=judgement.rule,
        rules=str(RULES_VERSION),
        source=source,
    )


def why_not_listed(evidence: Mapping[str, Any], *, for_good: bool) -> str:
    """Why the rules of today would not have made the entry that has this *evidence*.

    "" when they would, or when it has no answer to judge: it was imported, or added by hand. A hard
    entry stays *for_good*. All of the failures that an entry keeps were needed to make it.
    """
    kept = [(bounce, FailureWeight(bounce["weight"])) for bounce in evidence.get("bounces", ())]
    if not kept:
        kept = [(evidence, FailureWeight.HARD)] if _has_answer(evidence) else []
    judged = [judge(_answer(bounce)) for bounce, _ in kept]
    total = _hard if for_good else _soft
    today = [
        (bounce, _still(weight, weight_of(j, expired=bounce.get("expired", False))))
        for (bounce, weight), j in zip(kept, judged, strict=True)
    ]
    if total(today) >= total(kept):
        return ""
    j = next(j for j, new, old in zip(judged, today, kept, strict=True) if new != old)
    return f"{j.kind}: {j.why} (rule {j.rule!r})"


def _still(was: FailureWeight, judged: FailureWeight | None) -> FailureWeight | None:
    """What a failure counts today: never more than it did, for that may have had other reasons."""
    order = list(FailureWeight)
    return was if judged is not None and order.index(judged) <= order.index(was) else judged


def _hard(weighed: _Weighed) -> int:
    """How many failures count as hard: as the database counts them."""
    weights = [weight for _, weight in weighed]
    gone = weights.count(FailureWeight.GONE)
    return weights.count(FailureWeight.HARD) + (gone if gone > 1 else 0)


def _soft(weighed: _Weighed) -> int:
    """On how many days (UTC) there was a soft failure."""
    soft = [bounce["at"] for bounce, weight in weighed if weight is FailureWeight.SOFT]
    return len({datetime.fromisoformat(at).astimezone(UTC).date() for at in soft})


def _has_answer(evidence: Mapping[str, Any]) -> bool:
    return "reply" in evidence or "diagnostic" in evidence or "status" in evidence


def _answer(bounce: Mapping[str, Any]) -> Answer:
    if "answer" in bounce:
        return Answer(
            Stage(bounce["stage"]),
            bounce["code"],
            tuple(bounce["enhanced"]),
            bounce["answer"],
            bounce["provider"],
            bounce["recipients"],
        )
    if "reply" in bounce:  # of version 0.1.0 with migration 0001, as is the next
        enhanced = (bounce["enhanced"],) if bounce.get("enhanced") else ()
        return Answer(Stage.RCPT, bounce.get("code"), enhanced, bounce["reply"])
    return read_answer(bounce.get("diagnostic", ""), Stage.REPORT, status=bounce.get("status", ""))
