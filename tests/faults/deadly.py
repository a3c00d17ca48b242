"""A service with a message it cannot bear: `deadly.py policy` or `deadly.py dispatcher`.

The program of the product, with one step of its own in front of policy's, and one in front of the
courier's: a message whose subject says "raise" makes it raise, one that says "kill" ends the
process, as a fault in a library would.
"""

import os
import signal

from command.cli import main
from dispatcher import courier
from dispatcher.window import Held
from policy.core import decision
from policy.core.facts import Facts
from policy.core.steps import Draft, steps_for
from posthouse.store.deliveries import Settlement

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


class Suffering(courier.Courier):
    """A courier."""

    async def carry(self, held: Held) -> Settlement | str:
        """Carry *held*, if it lets us live."""
        _suffer(held.header, DISPATCHER)
        return await super().carry(held)


if __name__ == "__main__":
    vars(decision)["steps_for"] = lambda profile: (suffer, *steps_for(profile))
    courier.Courier = Suffering  # type: ignore[misc]
    main()
