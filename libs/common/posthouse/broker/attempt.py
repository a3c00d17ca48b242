"""One try of a handler on one body."""

import asyncio

from posthouse.broker import Handler

_LONGEST_REASON = 500  # characters; it travels in a message header


async def attempt(handler: Handler, body: bytes) -> str | None:
    """None when *handler* returned, else why it failed; raises only when we are cancelled."""
    try:
        await handler(body)
    except asyncio.CancelledError as error:
        # A handler may run into a cancellation that is not ours, of something it waits for.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return reason(error)
    # Whatever a handler raises is a failure of this one body and must not reach the others.
    except Exception as error:  # noqa: BLE001
        return reason(error)
    return None


def reason(error: BaseException) -> str:
    """Type and text of *error*, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
