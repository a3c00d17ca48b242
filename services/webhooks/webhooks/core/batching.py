"""Which endpoint gets which events, and which of them together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from uuid import UUID

from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.event_batch import NewBatch, WebhookWish
from posthouse.webhooks.occurrence import Occurrence

MOST_EVENTS = 200
MOST_OCTETS = 512 << 10  # but for an event that is larger by itself

_Told = tuple[UUID, Occurrence]  # account and event


def batches(
    told: Sequence[_Told], wishes: Iterable[WebhookWish], *, is_replay: bool = False
) -> Iterator[NewBatch]:
    """For each of *wishes* what it wants of *told*, in their order.

    A dialect that this version does not know gets nothing: its endpoints came with a newer one.
    """
    rendering = {name: cache(_rendering(name, told)) for name in DIALECTS}
    for wish in wishes:
        render = rendering.get(wish.dialect)
        if render is None:
            continue
        wanted = [
            (occurrence, written)
            for number, (account, occurrence) in enumerate(told)
            if wish.wants(account, occurrence) and (written := render(number))
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


def _rendering(dialect: str, told: Sequence[_Told]) -> Callable[[int], bytes]:
    """The events of *told* by number: written once for all endpoints."""
    render = DIALECTS[dialect].render
    return lambda number: b",".join(render(told[number][1]))


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
