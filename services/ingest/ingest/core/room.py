"""How much room the disk of the database needs for mail to be taken in."""

_LOG_SEGMENT = 16 << 20  # octets: PostgreSQL ends when it cannot begin one
_SEGMENTS = 3  # one being written, one made ahead, one for what goes out meanwhile


def least_free(message_octets: int) -> int:
    """Octets that have to be free for another message of up to *message_octets* to be taken.

    It is written into the log and into a table; and what was accepted has to get out afterwards,
    which needs room too.
    """
    return _SEGMENTS * _LOG_SEGMENT + message_octets * 3 // 2
