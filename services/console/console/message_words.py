"""By what customers look for messages."""

from datetime import UTC, datetime

from console.call import Call, reading
from posthouse.http.api_description import QueryWord
from posthouse.mail.message_query import MessageQuery, UnusableQuery, cursor_in
from posthouse.mail.message_state import MessageState
from posthouse.store.message_search import MessagePage, MessageSearch

QUERY_WORDS = (
    QueryWord("to", "A recipient."),
    QueryWord("from", "The sender of the envelope; <> for none."),
    QueryWord("user", "The SMTP user or key that sent it."),
    QueryWord("subject", "Words that the subject has, all of them; within a day, in one account."),
    QueryWord("tag", "A tag, in one account."),
    QueryWord("since", "30min, 2h, 5d, or 2026-11-30T14:00 in UTC."),
    QueryWord("until", "The same; accepted before."),
    QueryWord("state", f"Of a recipient; several with commas: {', '.join(MessageState)}."),
    QueryWord("cursor", "Go on from there: the page before ended with it."),
)
_IN_ONE_ACCOUNT = ("tag", "subject")


async def found_page(search: MessageSearch, call: Call, limit: int) -> MessagePage:
    """A page of the messages that the query of *call* asks for; raises Problem."""
    names = {word.name for word in QUERY_WORDS} - {"cursor"}
    words = {name: value for name, value in call.words.items() if name in names}
    if any(name in words for name in _IN_ONE_ACCOUNT):
        words["account"], _ = call.account
    with reading(UnusableQuery):
        query = MessageQuery.of(words, datetime.now(UTC))
        before = cursor_in(call.words["cursor"]) if "cursor" in call.words else None
    return await search.page(query, limit=limit, before=before, accounts=call.accounts.values())
