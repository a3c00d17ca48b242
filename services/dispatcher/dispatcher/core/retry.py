"""When a deferred delivery is tried again, and when it is given up."""

from datetime import timedelta

from posthouse.mail.lane import Lane

# Real attempts that every message gets before age alone may end it: a clock that jumps, or a
# dispatcher that was down for days, must not expire what was hardly tried.
MINIMUM_TRIES = 5

# How far *jitter* moves a wait, either way: spreads the retries of one outage.
_SPREAD = 0.1

_MINUTE = 60
_HOUR = 60 * _MINUTE

# Seconds to wait after the first, second, ... failure; the last one repeats. An urgent message
# soon finds out whether a hiccup is over and still meets a greylist of five minutes; bulk knocks
# once a few minutes later, when the greylist lets it in, and then leaves the destination alone.
_URGENT = (15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE)
_USUAL = (_MINUTE, 5 * _MINUTE, 10 * _MINUTE, 20 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR)
_PATIENT = (6 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR)

_STEPS = {
    Lane.VERY_HIGH: _URGENT,
    Lane.HIGH: _URGENT,
    Lane.NORMAL: _USUAL,
    Lane.LOW: _PATIENT,
    Lane.BULK: _PATIENT,
}


def wait_for_next_try(lane: Lane, tries: int, *, expired: bool, jitter: float) -> timedelta | None:
    """How long to wait after *tries* failed attempts (at least 1), or None to give up.

    A message is given up when it has *expired* and was really tried MINIMUM_TRIES times. *jitter*
    is a number from 0 up to 1.
    """
    if expired and tries >= MINIMUM_TRIES:
        return None
    steps = _STEPS[lane]
    wait = steps[min(tries, len(steps)) - 1]
    return timedelta(seconds=wait * (1 + _SPREAD * (2 * jitter - 1)))
