"""Read at the start of every Python that runs on a faked clock: lets it sleep.

libfaketime 0.9.10, told to leave the monotonic clock alone, has clock_nanosleep fail (EINVAL), and
that is what `time.sleep` calls.
"""

import select
import time
from typing import Any


def _sleep(seconds: Any) -> None:
    select.select((), (), (), seconds)


time.sleep = _sleep
