"""Whether what a report says about a recipient speaks of ours."""

from bounces.core.reports.report import RecipientStatus
from posthouse.mail.address import normal_form


def is_about(status: RecipientStatus, recipient: str) -> bool:
    """Whether *status* is about our *recipient*: it names the same mailbox, or one of its domain.

    Any other address is where the recipient's server sent the message on to: the member of an alias
    or a list. That it is gone does not mean that our recipient is. A name without a domain is one
    of the server that reports, and where none is named the return path has said whose report it is.
    """
    named = status.final_recipient or status.original_recipient
    if "@" not in named:
        return True
    ours, theirs = _domain(recipient), _domain(named)
    return theirs == ours or theirs.endswith(f".{ours}")


def _domain(address: str) -> str:
    return normal_form(address).rpartition("@")[2]
