"""What became of messages."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from console.call import Call, ConsoleRoute, as_json
from console.message_words import QUERY_WORDS, found_page
from posthouse.http.api_description import About, number_word
from posthouse.http.http_response import HttpResponse
from posthouse.mail.permission import Permission
from posthouse.store.message_reports import MessageReports, ReportedRecipient
from posthouse.store.message_search import FoundMessage, MessageSearch
from posthouse.store.timeline import Timeline, TimelineStore

_MOST_EVENTS = 1_000  # of one message
_INSIDE = frozenset({"recipient", "digest", "rules"})  # of a detail


class ReadCounts(Struct, frozen=True):
    """How often something was done, by who did it, as far as that is known."""

    human: int = 0
    machine: int = 0
    unknown: int = 0


class RecipientReport(Struct, frozen=True):
    """What became of a message for one recipient."""

    recipient: str
    state: str
    opens: ReadCounts
    clicks: ReadCounts
    next_attempt_at: datetime | None = None  # where its delivery is open
    tries: int = 0  # so far, where its delivery is open


class MessageSummary(Struct, frozen=True, rename={"sender": "from"}):
    """A message; subject and author are those that its reader sees."""

    id: str
    account: str
    user: str | None
    accepted_at: datetime
    sender: str
    subject: str
    author: str
    tags: list[str]
    stream: str
    priority: int
    size: int


class FoundRecipient(Struct, frozen=True):
    """A recipient, and what has become of the message for it."""

    recipient: str
    state: str


class ListedMessage(MessageSummary, frozen=True, rename={"sender": "from"}):
    """A message that was found."""

    recipients: list[FoundRecipient]


class MessageList(Struct, frozen=True):
    """Messages, newest first; null for the cursor: there are no others."""

    messages: list[ListedMessage]
    cursor: str | None


class MessageEvent(Struct, frozen=True):
    """Something that happened to a message."""

    at: datetime
    kind: str
    recipient: str | None  # null: it is about all of the message
    detail: dict[str, Any]


class MessageReport(MessageSummary, frozen=True, rename={"sender": "from"}):
    """A message, what became of it for each recipient, and its events, oldest first."""

    send_at: datetime | None
    recipients: list[RecipientReport]
    events: list[MessageEvent]


class MessageRoutes:
    """Reads."""

    def __init__(
        self, search: MessageSearch, reports: MessageReports, timelines: TimelineStore
    ) -> None:
        self._search = search
        self._reports = reports
        self._timelines = timelines

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        needed = Permission.READ_MESSAGES
        about = About(
            "Tell what became of a message: its state, opens and clicks for each recipient, and its"
            " events.",
            ((200, "Known.", MessageReport),),
        )
        yield ConsoleRoute("GET", "/v1/messages/{id}", needed, self.show, about)
        about = About(
            "Find messages, newest first: all that is asked is true of them.",
            (
                (
                    200,
                    "A page: it may have none, and still a cursor.",
                    MessageList,
                ),
            ),
            query=(*QUERY_WORDS, number_word("limit", "Most messages.", 50, 200)),
        )
        yield ConsoleRoute("GET", "/v1/messages", needed, self.find, about)

    async def find(self, call: Call) -> HttpResponse:
        """A page of what is looked for."""
        page = await found_page(self._search, call, call.number("limit", 50, 200))
        return as_json(MessageList([_listed(one) for one in page.messages], page.cursor))

    async def show(self, call: Call) -> HttpResponse:
        """Tell what became of one message."""
        id_ = call.id("id", "message")
        found = next(iter(await self._search.named([id_])), None)
        timeline = await self._timelines.of_submission(id_)
        if found is None or timeline is None or found.account_id not in call.accounts.values():
            raise call.nothing("id", "message")
        return as_json(_report(timeline, await self._reports.of([found])))


def _listed(found: FoundMessage) -> ListedMessage:
    states = [FoundRecipient(one.recipient, one.state.value) for one in found.recipients]
    return ListedMessage(**summary_of(found), recipients=states)


def summary_of(found: FoundMessage) -> dict[str, Any]:
    """The fields of a summary."""
    return {
        "id": found.id.hex,
        "account": found.account,
        "user": found.user,
        "accepted_at": found.accepted_at,
        "sender": found.sender,
        "subject": found.subject,
        "author": found.author,
        "tags": list(found.tags),
        "stream": found.stream,
        "priority": found.lane.value,
        "size": found.size,
    }


def _report(timeline: Timeline, lines: Sequence[ReportedRecipient]) -> MessageReport:
    """*lines*: one for each recipient, at least one."""
    waiting = {one["recipient"]: one for one in timeline.deliveries if one["due_at"] is not None}
    return MessageReport(
        **summary_of(lines[0].message),
        send_at=timeline.submission["send_at"],
        recipients=[_recipient(line, waiting.get(line.recipient)) for line in lines],
        events=list(_events(timeline)),
    )


def _recipient(line: ReportedRecipient, waiting: Mapping[str, Any] | None) -> RecipientReport:
    reads = line.reads
    return RecipientReport(
        line.recipient,
        line.state.value,
        ReadCounts(reads.opened_human, reads.opened_machine, reads.opened_unknown),
        ReadCounts(reads.clicked_human, reads.clicked_machine, reads.clicked_unknown),
        *((waiting["due_at"], waiting["tries"]) if waiting else ()),
    )


def _events(timeline: Timeline) -> Iterator[MessageEvent]:
    recipients = {one["id"]: one["recipient"] for one in timeline.deliveries}
    for event in timeline.events[:_MOST_EVENTS]:
        detail = event["detail"] or {}
        recipient = recipients.get(event["delivery_id"], detail.get("recipient"))
        shown = {name: value for name, value in detail.items() if name not in _INSIDE}
        yield MessageEvent(event["at"], event["kind"], recipient, shown)
