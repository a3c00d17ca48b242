"""Who reports a result to the sender that asked for it (RFC 3461 section 5.2).

Failures are not decided here: they are reported unless the sender wants none.
"""

from datetime import timedelta
from enum import StrEnum

from posthouse.mail.dsn_action import Action
from posthouse.mail.dsn_request import Notify, RecipientRequest
from posthouse.mail.outcome import Deferred, Delivered, Outcome, Uncertain

# Most delays end before: the first four tries of any lane, greylisting, a host that is restarted.
DELAY_AFTER = timedelta(hours=4)


class Owed(StrEnum):
    """What the event of a result says about its report, under `dsn`."""

    RELAYED = Action.RELAYED  # by us: the server that took it knows no DSN
    DELAYED = Action.DELAYED  # by us, once
    PASSED_ON = "passed on"  # by the server that took it, or one behind it


def owed(asked: RecipientRequest, outcome: Outcome, age: timedelta, *, final: bool) -> Owed | None:
    """What is owed for *outcome* of a message that was accepted *age* ago."""
    match outcome:
        case Delivered() if asked.wants(Notify.SUCCESS):
            return Owed.PASSED_ON if outcome.asked_for_reports else Owed.RELAYED
        case Deferred() | Uncertain() if asked.wants(Notify.DELAY):
            return Owed.DELAYED if age >= DELAY_AFTER and not final else None
        case _:
            return None
