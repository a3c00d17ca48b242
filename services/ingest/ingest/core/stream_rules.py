"""The stream that a message belongs to (RULES E05, E06, E17)."""

from dataclasses import dataclass
from dataclasses import replace as with_changes

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.refusals import Refusal
from posthouse.profiles.choices import Multiplicity
from posthouse.profiles.knobs import ControlHeader


@dataclass(frozen=True, slots=True)
class ChooseStream:
    """The stream that is named, by code or name, else the default one; its flags apply."""

    header: ControlHeader
    key: bytes  # its name as headers are asked for it
    default: str  # "" for none

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule: a code that is none of the account is refused."""
        name, where = self.default, "the profile"
        if message.options.stream:
            name, where = message.options.stream, "stream"
        elif fields := message.head.fields(self.key):
            if len(fields) > 1 and self.header.multiplicity is Multiplicity.REJECT:
                return refusals.repeated_field(self.header.name, len(fields))
            name, where = fields[0].value, self.header.name
        if not name:
            return decided
        stream = message.session.streams.get(name) or message.session.streams.get(name.lower())
        if stream is None:
            return refusals.unknown_stream(where, name)
        flags = {**decided.attributes.flags, **stream.flags}
        attributes = with_changes(decided.attributes, stream=stream.name, flags=flags)
        return decided._replace(attributes=attributes)
