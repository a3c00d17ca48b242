"""Which mail to an address to unsubscribe by counts."""

from bounces.core.reports.report import ReportKind

# What servers and programs answer to mail that came from there, though none does.
_ANSWERS = frozenset(ReportKind) - {ReportKind.UNRECOGNISED, ReportKind.FREE_TEXT}


def is_request(kind: ReportKind, sender: str) -> bool:
    """Whether mail of that *kind* from the reverse-path *sender* asks to unsubscribe.

    Its text does not matter: who has the address has the message that it stands in. Mail from the
    null reverse-path, reports and automatic replies (RFC 3834) ask for nothing. One that a mail
    program made because its reader pressed a button (``Auto-Submitted: auto-generated``) does.
    """
    return sender != "" and kind not in _ANSWERS
