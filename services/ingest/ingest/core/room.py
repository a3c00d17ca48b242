"""How much room the disk of the database needs for mail to be accepted."""

_SEGMENT = 16 << 20  # octets: PostgreSQL ends when it cannot begin a segment of its log
_SEGMENTS = 3  # one being written, one made ahead, one for deliveries meanwhile


def least_free(message_octets: int) -> int:
    """Octets of room that one more message of up to *message_octets* needs.

    It is written into the log and into a table; delivering accepted mail afterwards
    needs room too.
    """
    return _SEGMENTS * _SEGMENT + message_octets * 3 // 2


def room(free: int, segments_ahead: int) -> int:
    """Octets of room: *free* ones, and segments of the log that will be written over.

    More segments than the log needs are no room for anything else.
    """
    return free + min(segments_ahead, _SEGMENTS) * _SEGMENT
