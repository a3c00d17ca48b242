"""What speaks against mailing an address: failures that its bounce list counts, and objections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from posthouse.mail.suppression_list import SuppressionList

_MOST_CHARACTERS = 2000  # of an answer that an entry keeps


class FailureWeight(StrEnum):
    """How a failure counts; stored with it."""

    HARD = "hard"  # there is no such mailbox
    GONE = "gone"  # there is no such domain: counts as hard once there are two
    SOFT = "soft"  # full, disabled, temporary: only its repetition lists the address, for a time


@dataclass(frozen=True, slots=True)
class AddressFailure:
    """What a remote system said against an address, and the rule that judged it.

    *answer* to *recipients* are the fields of `posthouse.answers.Answer`, so that later rules can
    judge it again.
    """

    weight: FailureWeight
    kind: str  # the class of the answer, such as "no such mailbox"
    answer: str  # the text of the reply or the report
    stage: str
    code: int | None = None
    enhanced: tuple[str, ...] = ()
    provider: str = ""
    recipients: int = 1
    expired: bool = False  # the message was tried for days, and this was the last answer
    rule: str = ""
    rules: str = ""  # their version
    source: Mapping[str, Any] = field(default_factory=dict)  # such as the host, or the report's MTA

    def as_json(self) -> dict[str, Any]:
        """As an entry keeps it; when it was said and of which delivery is added by the store."""
        return {
            **{name: value for name, value in self.source.items() if value not in (None, "")},
            "weight": self.weight.value,
            "kind": self.kind,
            "answer": self.answer[:_MOST_CHARACTERS],
            "stage": self.stage,
            "code": self.code,
            "enhanced": self.enhanced,
            "provider": self.provider,
            "recipients": self.recipients,
            "expired": self.expired,
            "rule": self.rule,
            "rules": self.rules,
        }


@dataclass(frozen=True, slots=True)
class Objection:
    """The recipient does not want this mail: a complaint, or an unsubscribe of it or a part."""

    list: SuppressionList
    rule: str = ""
    rules: str = ""
    scope: str = ""  # see posthouse.mail.suppression_list; "" for all mail of the account


AgainstAddress: TypeAlias = AddressFailure | Objection


@dataclass(frozen=True, slots=True)
class BounceLimits:
    """When failures put an address on the bounce list; a limit of 0 never does."""

    hard: int  # deliveries: then it stays on the list until it is removed
    soft: int  # days (UTC) with a soft failure: then it stays for *soft_stay*
    counted: timedelta  # older failures do not count
    soft_stay: timedelta

    def counts(self, failure: AddressFailure) -> bool:
        """Whether *failure* counts towards either limit."""
        return (self.soft if failure.weight is FailureWeight.SOFT else self.hard) > 0
