"""Poison messages: submissions that fail, or end the process, each time they are prepared."""

# Failures that were caught; the attempts are one lease apart.
_MOST_FAILURES = 5
# A message that ends the whole process leaves no failure, only claims without a result.
_MOST_CLAIMS = 5
# From the third claim without a result on it is handled alone: others in its batch would be lost
# with it again. The statement claim_submissions has the same number.
_SUSPECT_CLAIMS = 3


def is_suspect(claims: int) -> bool:
    """Whether a submission claimed for the *claims*-th time is handled alone."""
    return claims >= _SUSPECT_CLAIMS


def poison_reason(claims: int) -> str | None:
    """Why a submission claimed for the *claims*-th time is not prepared again; None if it is."""
    if claims > _MOST_CLAIMS:
        return f"claimed {_MOST_CLAIMS} times without a result"
    return None


def is_last_failure(claims: int) -> bool:
    """Whether a failure under the *claims*-th claim is the last one allowed."""
    return claims >= _MOST_FAILURES
