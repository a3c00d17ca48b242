"""How long to wait before a failed outside service is tried again."""


def wait_before_retry(
    failures: int, chance: float, *, first: float = 0.1, longest: float = 5.0
) -> float:
    """Seconds to wait after *failures* in a row (1, 2, ...), doubling from *first* to *longest*.

    *chance* in [0, 1) takes away up to half, so that callers that failed together do not return
    together.
    """
    doublings = min(max(failures - 1, 0), 30)
    return min(first * 2.0**doublings, longest) * (1 - chance / 2)
