"""The server's side of SMTP against sessions that are damaged at random."""

from fuzz.sessions import run


def test_a_thousand_damaged_sessions_are_answered_and_heard_as_their_octets_say() -> None:
    """The short form of `make fuzz-sessions`."""
    assert run(1_000, seed=7) is None
