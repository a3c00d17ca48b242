"""How often a submission that fails is tried again before it is quarantined, and how carefully."""

# A failure that is told from an exception; the tries are a lease apart.
_MOST_FAILURES = 5
# A message that takes the whole process with it leaves no failure, only claims without a result.
_MOST_CLAIMS = 5
# Claimed for the third time, and never a result: it may be what ends whoever takes it up, and
# those beside it would share its fate time and again. The claims of the store know this number.
_SUSPECT_CLAIMS = 3


def is_suspect(claims: int) -> bool:
    """Whether a submission claimed for the *claims*-th time is to be handled by itself."""
    return claims >= _SUSPECT_CLAIMS


def worn_out(claims: int) -> str | None:
    """Why a submission claimed for the *claims*-th time is not tried again, if so."""
    if claims > _MOST_CLAIMS:
        return f"taken up {_MOST_CLAIMS} times, and never with a result"
    return None


def last_failure(claims: int) -> bool:
    """Whether a failure under the *claims*-th claim is the last one allowed."""
    return claims >= _MOST_FAILURES
