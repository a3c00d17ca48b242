"""Which endpoint gets which events, and which of them together."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.event_batch import FoundEvent, NewBatch, WebhookWish
from posthouse.webhooks.occurrence import Occurrence

MOST_EVENTS = 200
MOST_UNWRITTEN = 1_000  # events, which are written together later
MOST_OCTETS = 512 << 10  # but for an event that is larger by itself

_Told = tuple[UUID, Occurrence]  # account and event


def batches(
    told: Sequence[_Told],
    wishes: Iterable[WebhookWish],
    failed: Callable[[Occurrence, Exception], None],
    *,
    is_replay: bool = False,
) -> Iterator[NewBatch]:
    """For each of *wishes* what it wants of *told*, in their order.

    A dialect that this version does not know gets nothing: its endpoints came with a newer one. An
    event that cannot be written is left out, and *failed* hears of it: others are not to wait.
    """
    by_account: dict[UUID, list[Occurrence]] = defaultdict(list)
    for account, occurrence in told:
        by_account[account].append(occurrence)
    rendering = {name: _rendering(name, failed) for name in DIALECTS}
    for wish in wishes:
        render = rendering.get(wish.dialect)
        if render is None:
            continue
        wanted = [
            (occurrence, written)
            for occurrence in by_account.get(wish.account_id, ())
            if wish.wants(occurrence) and (written := render(occurrence))
        ]
        for part in _parts(wanted):
            yield NewBatch(
                wish=wish,
                oldest_at=min(occurrence.at for occurrence, _ in part),
                ids=[occurrence.id for occurrence, _ in part],
                kinds=sorted({occurrence.kind for occurrence, _ in part}),
                body=b",".join(written for _, written in part),
                is_replay=is_replay,
            )


def unwritten(found: Sequence[FoundEvent], wishes: Iterable[WebhookWish]) -> Iterator[NewBatch]:
    """For each of *wishes*, which are late, what it wants of *found* by account and kind."""
    for wish in wishes:
        wanted = [
            one
            for one in found
            if one.account_id == wish.account_id and (not wish.kinds or one.kind in wish.kinds)
        ]
        for first in range(0, len(wanted), MOST_UNWRITTEN):
            part = wanted[first : first + MOST_UNWRITTEN]
            yield NewBatch(
                wish=wish,
                oldest_at=min(one.at for one in part),
                ids=[one.ids.event for one in part],
                kinds=sorted({one.kind for one in part}),
                body=b"",
            )


def _rendering(
    dialect: str, failed: Callable[[Occurrence, Exception], None]
) -> Callable[[Occurrence], bytes]:
    """Writes each event once for all endpoints."""
    render = DIALECTS[dialect].render
    done: dict[UUID, bytes] = {}

    def written(occurrence: Occurrence) -> bytes:
        if (found := done.get(occurrence.id)) is not None:
            return found
        try:
            octets = b",".join(render(occurrence))
        except Exception as error:  # noqa: BLE001 -- one strange event must not stop all others
            failed(occurrence, error)
            octets = b""
        done[occurrence.id] = octets
        return octets

    return written


def _parts(
    wanted: Iterable[tuple[Occurrence, bytes]],
) -> Iterator[list[tuple[Occurrence, bytes]]]:
    part: list[tuple[Occurrence, bytes]] = []
    octets = 0
    for one in wanted:
        octets += len(one[1])
        if part and (len(part) == MOST_EVENTS or octets > MOST_OCTETS):
            yield part
            part, octets = [], len(one[1])
        part.append(one)
    if part:
        yield part
