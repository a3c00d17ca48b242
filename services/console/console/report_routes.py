"""Reports of mail, as JSON or, for spreadsheets, as CSV."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from console.call import Call, ConsoleRoute, as_csv, as_json, reading
from console.message_words import QUERY_WORDS, found_page
from posthouse.http.api_description import About, QueryWord, number_word
from posthouse.http.http_response import HttpResponse
from posthouse.mail.permission import Permission
from posthouse.store.message_reports import MessageReports, Reads
from posthouse.store.message_search import MessageSearch
from posthouse.store.traffic_reports import ReportTooLarge, TrafficReports
from posthouse.traffic.bill import BillLine, month_span
from posthouse.traffic.csv_text import csv_text
from posthouse.traffic.dimension import Dimension
from posthouse.traffic.moments import UnreadableWord, zone_named
from posthouse.traffic.traffic_request import TrafficRequest

_CSV = "text/csv"
_OBJECT = dict[str, Any]
_EMPTY = {"type": "string", "maxLength": 500}
_SEVERAL = {"type": "array", "items": {"type": "string", "minLength": 1}}
_ZONE = QueryWord("zone", "Whose days they are, as in Europe/Rome; else UTC.")
_OF_TRAFFIC = (
    QueryWord("by", f"Up to three columns, of which one may be a time: {', '.join(Dimension)}.",
              _SEVERAL),
    _ZONE,
    QueryWord("since", "A day, or a time as in 2026-11-30T09:15; else seven days ago."),
    QueryWord("until", "A day, which is counted too, or a time; else now."),
    QueryWord("tag", "Only mail with this tag; any number.", _SEVERAL),
    QueryWord("match", "Whether mail has to have any or all of the tags."),
    QueryWord("stream", "Only mail of this stream; empty for mail of none.", _EMPTY),
    QueryWord("subject", "Only mail with this subject.", _EMPTY),
    QueryWord("sender", "Only mail with this address in From.", _EMPTY),
    QueryWord("user", "Only mail of this user."),
    QueryWord("domain", "Only mail of senders at this sending domain.", _EMPTY),
    QueryWord("provider", "Only recipients of this provider."),
    QueryWord("lane", "Only mail of this lane."),
)  # fmt: skip
_COLUMNS = ("message", "accepted", "account", "user", "recipient", "subject", "tags", "state")


class ReportRoutes:
    """Reads."""

    def __init__(
        self, reports: TrafficReports, search: MessageSearch, messages: MessageReports
    ) -> None:
        self._reports = reports
        self._search = search
        self._messages = messages

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        for name, answer, query, summary in (
            ("traffic", self.traffic, _OF_TRAFFIC, "Counts of the mail of one account."),
            (
                "messages",
                self.messages,
                (*QUERY_WORDS, number_word("limit", "Most messages.", 100, 1_000)),
                "What became of messages, a line for each recipient, with opens and clicks.",
            ),
            (
                "deliverability",
                self.deliverability,
                (
                    number_word("days", "Of how many days.", 7, 366),
                    number_word("past", "Against how many before them.", 28, 3_660),
                ),
                "How well mail of one account arrives, and what to fix first.",
            ),
            (
                "billing",
                self.billing,
                (QueryWord("month", "As in 2026-11; else this month."), _ZONE),
                "Messages, recipients and deliveries of one account in a month, by stream.",
            ),
        ):
            media_types = () if name == "deliverability" else (_CSV,)
            about = About(summary, ((200, "The report.", _OBJECT),), query=query,
                          media_types=media_types)  # fmt: skip
            path = f"/v1/reports/{name}"
            yield ConsoleRoute("GET", path, Permission.READ_REPORTS, answer, about)

    async def traffic(self, call: Call) -> HttpResponse:
        """Counts."""
        words = {name: [value] for name, value in call.words.items() if name != "account"}
        with reading(UnreadableWord, ReportTooLarge):
            request = TrafficRequest.parse({**words, **call.lists}, datetime.now(UTC))
            report = await self._reports.read(call.account[1], request)
        return as_csv(report.as_csv()) if call.wants(_CSV) else as_json(report.as_json())

    async def messages(self, call: Call) -> HttpResponse:
        """Single messages."""
        page = await found_page(self._search, call, call.number("limit", 100, 1_000))
        names = (*_COLUMNS, *Reads._fields)
        rows = [
            (
                *(line.message.id.hex, f"{line.message.accepted_at:%Y-%m-%dT%H:%M:%SZ}"),
                *(line.message.account, line.message.user or "", line.recipient),
                *(line.message.subject, ",".join(line.message.tags), line.state.value),
                *line.reads,
            )
            for line in await self._messages.of(page.messages)
        ]
        if call.wants(_CSV):
            answer = as_csv(csv_text(names, rows))
            more = () if page.cursor is None else (("posthouse-cursor", page.cursor),)
            return answer._replace(fields=more)
        lines = [dict(zip(names, row, strict=True)) for row in rows]
        return as_json({"recipients": lines, "cursor": page.cursor})

    async def deliverability(self, call: Call) -> HttpResponse:
        """Rates by provider."""
        days, past = call.number("days", 7, 366), call.number("past", 28, 3_660)
        found = await self._reports.deliverability(
            call.account[1], datetime.now(UTC), days=days, past=past
        )
        return as_json(found.as_json())

    async def billing(self, call: Call) -> HttpResponse:
        """A month."""
        with reading(UnreadableWord):
            zone = zone_named(call.words.get("zone", "UTC"))
            month = call.words.get("month") or f"{datetime.now(zone):%Y-%m}"
            span = month_span(month, zone)
        lines = await self._reports.bill(call.account[1], *span)
        if call.wants(_CSV):
            rows = [(month, *line) for line in lines]
            return as_csv(csv_text(("month", *BillLine._fields), rows))
        return as_json({"month": month, "lines": [line._asdict() for line in lines]})
