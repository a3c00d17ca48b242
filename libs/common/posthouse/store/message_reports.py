"""What became of single messages, recipient by recipient, with their opens and clicks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from posthouse.mail.message_state import MessageState
from posthouse.store.message_search import FoundMessage
from posthouse.store.postgres import Postgres
from posthouse.traffic.measures import READ_KINDS, measure_of

_AT_ONCE = 200


class Reads(NamedTuple):
    """How often a copy was opened, and links of it were followed, by whom."""

    opened_human: int = 0
    opened_machine: int = 0
    opened_unknown: int = 0
    clicked_human: int = 0
    clicked_machine: int = 0
    clicked_unknown: int = 0


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """A recipient of a message, what has become of it, and what the recipient did."""

    message: FoundMessage
    recipient: str
    state: MessageState
    reads: Reads


class MessageReports:
    """Reads only."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def of(self, messages: Sequence[FoundMessage]) -> list[ReportedRecipient]:
        """A line for each recipient of *messages*, in their order."""
        lines = []
        for start in range(0, len(messages), _AT_ONCE):
            some = messages[start : start + _AT_ONCE]
            reads = await self._reads([message.id for message in some])
            lines += [
                ReportedRecipient(
                    message,
                    one.recipient,
                    one.state,
                    reads.get((message.id, one.recipient), Reads()),
                )
                for message in some
                for one in message.recipients
            ]
        return lines

    async def _reads(self, ids: Sequence[UUID]) -> dict[tuple[UUID, str], Reads]:
        rows = await self._database.fetch("count_reads", ids, list(READ_KINDS))
        counts: defaultdict[tuple[UUID, str], dict[str, int]] = defaultdict(dict)
        for row in rows:
            of_one = counts[row["submission_id"], row["recipient"]]
            measure = measure_of(row["kind"], "", row["reader"])
            of_one[measure] = of_one.get(measure, 0) + row["count"]
        return {key: Reads(**of_one) for key, of_one in counts.items()}
