"""A service with a message it cannot bear: `deadly.py policy` or `deadly.py dispatcher`.

The program of the product, with one step of its own in front of policy's, and one in front of each
attempt at a delivery: a message whose header says "raise" makes it raise, one that says "kill" ends
the process, as a fault in a library would. `deadly.py isolated` is what the dispatcher starts for a
delivery that it suspects.
"""

import os
import signal
import sys

from command.cli import main
from dispatcher import isolated, isolation, wiring
from dispatcher.delivery_attempt import (
    AttemptResult,
    DeliveryAttempts,
    ReadMessage,
    has_its_message,
)
from policy.core import decision
from policy.core.draft import Draft
from policy.core.facts import Facts
from policy.core.steps import steps_for
from posthouse.store.deliveries import ClaimedDelivery

POLICY, DISPATCHER = b"policy", b"dispatcher"


def _suffer(header: bytes, where: bytes) -> None:
    if b"X-Deadly: raise " + where in header:
        raise RuntimeError("this message cannot be borne")
    if b"X-Deadly: kill " + where in header:
        os.kill(os.getpid(), signal.SIGKILL)


def suffer(draft: Draft, facts: Facts) -> Draft:
    """A step of policy."""
    del facts
    _suffer(draft.request.submission.header, POLICY)
    return draft


class Suffering(DeliveryAttempts):
    """Attempts."""

    async def run(
        self, claimed: ClaimedDelivery, read: ReadMessage = has_its_message
    ) -> AttemptResult:
        """Try *claimed*, if it lets us live."""
        _suffer(claimed.header, DISPATCHER)
        return await super().run(claimed, read)


if __name__ == "__main__":
    vars(decision)["steps_for"] = lambda profile: (suffer, *steps_for(profile))
    wiring.DeliveryAttempts = Suffering  # type: ignore[attr-defined]
    isolation.COMMAND = (sys.executable, __file__, "isolated")
    if sys.argv[1] == "isolated":
        isolated.main()
    else:
        main()
