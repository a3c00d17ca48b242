"""The selectors of DKIM keys: what receivers find them by."""

from collections.abc import Collection
from datetime import date
from itertools import count

from posthouse.mail.dkim_key import Algorithm

_SLOTS = 2  # one signs, the other takes the next key


def slots(algorithm: str) -> tuple[str, ...]:
    """The selectors that a domain has CNAME records for; its keys take turns in them."""
    return tuple(f"ph{n}-{_kind(algorithm)}" for n in range(1, _SLOTS + 1))


def free_selector(
    algorithm: Algorithm, today: date, taken: Collection[str], *, in_slots: bool
) -> str | None:
    """A selector that is not *taken*; None where both slots are.

    Elsewhere its month tells, at rotation, which of the published keys is the old one.
    """
    if in_slots:
        return next((name for name in slots(algorithm) if name not in taken), None)
    kind = _kind(algorithm)
    names = (f"ph{today:%Y%m}{'' if n == 1 else f'-{n}'}-{kind}" for n in count(1))
    return next(name for name in names if name not in taken)


def _kind(algorithm: str) -> str:
    return algorithm.partition("-")[0]
