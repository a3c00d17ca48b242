"""The fields that show recipients the priority of a message (RULES U12)."""

from policy.core.draft import Draft
from policy.core.facts import Facts
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header

# In each a program writes what it calls important; U10 reads them.
_FIELDS = ("X-Priority", "Importance", "Priority", "X-MSMail-Priority")
_SHOWN = {
    Lane.VERY_HIGH: ("1 (Highest)", "high", "urgent", "High"),
    Lane.HIGH: ("2 (High)", "high", "urgent", "High"),
    Lane.NORMAL: (),  # what a message without such fields has
    Lane.LOW: ("4 (Low)", "low", "non-urgent", "Low"),
    Lane.BULK: ("5 (Lowest)", "low", "non-urgent", "Low"),
}


def show_lane(draft: Draft, facts: Facts) -> Draft:
    """The priority fields say the lane that the message has, whatever its client wrote there."""
    del facts
    shown = _SHOWN[draft.request.submission.lane]

    def edit(header: Header) -> Header:
        header = header.without(*_FIELDS)
        for name, value in zip(_FIELDS, shown, strict=False):
            header = header.append(name, value)
        return header

    return draft.edit_headers(edit)
