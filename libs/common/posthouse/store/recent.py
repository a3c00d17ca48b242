"""Messages that were just written and will be read in a moment: saves reading them back."""

from collections import OrderedDict
from uuid import UUID


class RecentMessages:
    """Header and body by id, the oldest leaving when *octets* are exceeded.

    Only an accelerator: whatever is not here is read from the database. With 0 octets it holds
    nothing, as where the reader is another process.
    """

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._held = 0
        self._messages: OrderedDict[UUID, tuple[bytes, bytes]] = OrderedDict()

    def put(self, key: UUID, header: bytes, body: bytes) -> None:
        """Remember a message; a body shared with another entry is counted for each.

        One that is larger than everything together may be is not remembered.
        """
        self.take(key)
        size = len(header) + len(body)
        if size > self._octets:
            return
        self._messages[key] = (header, body)
        self._held += size
        while self._held > self._octets:
            self.take(next(iter(self._messages)))

    def get(self, key: UUID) -> tuple[bytes, bytes] | None:
        """The message, if it is still here."""
        return self._messages.get(key)

    def take(self, key: UUID) -> tuple[bytes, bytes] | None:
        """The message, which then is here no more."""
        found = self._messages.pop(key, None)
        if found:
            self._held -= len(found[0]) + len(found[1])
        return found

    @property
    def octets(self) -> int:
        """How much is held: header and body of everything that is here."""
        return self._held
