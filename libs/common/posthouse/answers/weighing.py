"""What an answer counts against the address that it is about."""

from posthouse.answers.answer import Answer, AnswerClass, Evidence, Judgement
from posthouse.answers.rule_table import RULES_VERSION
from posthouse.mail.address_failure import AddressFailure, FailureWeight

_WEIGHTS = {Evidence.HARD: FailureWeight.HARD, Evidence.SOFT: FailureWeight.SOFT}


def weight_of(judgement: Judgement) -> FailureWeight | None:
    """How such an answer counts; None when it says nothing against an address."""
    if judgement.kind is AnswerClass.DOMAIN_GONE and judgement.permanent:
        return FailureWeight.GONE
    return _WEIGHTS.get(judgement.evidence)


def failure_of(
    answer: Answer, judgement: Judgement, *, status: str = "", **source: str
) -> AddressFailure | None:
    """What *answer* counts against the recipient; None when it says nothing against an address.

    *status*: what the report's Status field says, as it was given to `read_answer`. *source*: where
    it comes from, such as the host.
    """
    weight = weight_of(judgement)
    if weight is None:
        return None
    return AddressFailure(
        weight,
        kind=judgement.kind,
        answer=answer.text,
        stage=answer.stage,
        status=status,
        provider=answer.provider,
        recipients=answer.recipients,
        rule=judgement.rule,
        rules=str(RULES_VERSION),
        source=source,
    )
