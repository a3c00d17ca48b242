"""The conversation: greeting, order of commands, envelope, and what a message becomes."""
import pytest

GOOD = b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\nBody\r\n.\r\n"


async def test_a_message_is_accepted_under_the_id_that_the_reply_names(door, client) -> None:
    reply = await client.message(GOOD)

    (submission,) = door.intake.accepted
    assert reply == f"250 2.0.0 Ok: queued as {submission.id.hex}"
    assert submission.sender == "jo@a.example"
    assert submission.recipients == ("x@there.example",)
    assert submission.header == b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\n"
    assert submission.body == b"Body\r\n"
