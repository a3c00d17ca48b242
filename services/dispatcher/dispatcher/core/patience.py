"""How many claims without a result a delivery may have before it is quarantined."""

# Claims in a row without a result. Each may have been a delivery: rather few of them.
_MOST_ABANDONED = 5
# Abandoned twice: it may be what ends whoever takes it up, and those on the wire beside it would be
# sent again each time. The claims of the store know this number.
_SUSPECT = 2
# A failure of our own code that is told from an exception counts like any other try.
_MOST_FAULTS = 5


def is_suspect(abandoned: int) -> bool:
    """Whether a delivery that was abandoned so often in a row is to be sent by itself."""
    return abandoned >= _SUSPECT


def worn_out(abandoned: int) -> str | None:
    """Why a delivery that was abandoned so often in a row is not tried again, if so."""
    if abandoned >= _MOST_ABANDONED:
        return f"taken up {_MOST_ABANDONED} times in a row, and never with a result"
    return None


def last_fault(tries: int) -> bool:
    """Whether a fault of ours in the *tries*-th try is the last one allowed."""
    return tries >= _MOST_FAULTS
