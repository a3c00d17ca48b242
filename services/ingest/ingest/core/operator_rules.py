"""What the operator of the relay says about all accounts, whatever their profiles say."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MOST_AHEAD: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class OperatorRules:
    """From settings."""

    # Allowed, where profiles allow them: senders at domains that an account has not verified.
    unverified_senders: bool = True
    # Every account may send from it before it has a domain of its own; "" for none.
    sandbox_domain: str = ""
    # Names of the relay itself, as A-labels: it signs and gets bounces by them.
    relay_names: frozenset[str] = frozenset()
    # How long a message counts as submitted again, for users whose mail is looked at so.
    resubmission_window: timedelta = timedelta(hours=1)
    most_ahead: timedelta = MOST_AHEAD  # that a message may be scheduled


NO_RULES = OperatorRules()
