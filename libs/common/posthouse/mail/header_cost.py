"""How long a header takes to read: what stands between two separators costs some microseconds."""

_SEPARATORS = b'()<>[]@,;:."\\'
# Beyond one of these a header may hold an event loop for more than a millisecond. Few have so many:
# one of four kilobytes with signatures and trace fields has two hundred separators.
SLOW_OCTETS = 8_192
_SLOW_SEPARATORS = 512


def separators(octets: bytes) -> int:
    """How many separators of addresses, comments, parameters and names are in *octets*."""
    return len(octets) - len(octets.translate(None, _SEPARATORS))


def is_slow(header: bytes) -> bool:
    """Whether to read *header*, and to decide about it, belongs in a thread."""
    octets = len(header)
    return octets > SLOW_OCTETS or (
        octets > _SLOW_SEPARATORS and separators(header) > _SLOW_SEPARATORS
    )
