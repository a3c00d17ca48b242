"""The root of a message's trace: how it came in, until it was committed."""

import time

from posthouse.mail.submission import Submission
from posthouse.running.traces import MessageSpan, Phase, SpanName, Traces


def trace_accepted(traces: Traces, message: Submission, began: float, caller: str) -> None:
    """Tell that *message*, which *began* to come in then, is committed now.

    *caller*: the `traceparent` of its request, "" without one.
    """
    ended = time.perf_counter()
    admitted = ended - max(time.time() - (message.id.int >> 80) / 1_000, 0.0)
    about: dict[str, str | int] = {
        "posthouse.account": message.account_id.hex,
        "posthouse.lane": message.lane.label,
        "posthouse.profile": message.profile,
        "posthouse.recipients": len(message.recipients),
        "posthouse.octets": message.size,
        "posthouse.tls": message.tls,
    }
    phases = (Phase("commit", max(began, admitted), ended),)
    span = MessageSpan(SpanName.ACCEPT, began, ended, about, phases)
    traces.tell(message.id, span, caller=caller)
