"""What dialogs cannot show: packets that come too early, and invariants over any conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.actions import Action, Closed, Finished, Ready, Send, SendContent
from dispatcher.core.envelope import PIECE, Envelope, flaw, on_the_wire
from dispatcher.core.reply_reader import ENDLESS, GarbledReply, ReplyReader
from dispatcher.core.routes import TlsPolicy
from dispatcher.core.smtp_client import SmtpClient
from posthouse.answers import Stage
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Uncertain
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

ENVELOPE = Envelope("s@relay.example", ("x@mx.example",), b"Subject: hi\r\n\r\n", b"text\r\n")
PIPELINING = b"250-mx.example\r\n250 PIPELINING\r\n"


def ready(ehlo: bytes = PIPELINING) -> SmtpClient:
    client = SmtpClient("relay.example", TlsPolicy.CLEAR)
    client.receive(b"220 mx.example\r\n")
    assert client.receive(ehlo) == [Ready()]
    return client


def outcomes(actions: list[Action]) -> tuple[Outcome, ...]:
    (finished,) = (action for action in actions if isinstance(action, Finished))
    return finished.outcomes


def test_a_reply_in_the_packet_of_the_354_never_passes_for_the_answer_to_the_dot() -> None:
    client = ready()
    client.begin(ENVELOPE)

    actions = client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 delivered, honestly\r\n")

    assert not any(isinstance(action, Send | SendContent) for action in actions)
    assert isinstance(outcomes(actions)[0], Deferred)
    assert isinstance(actions[-1], Closed)


def test_half_a_reply_behind_the_354_is_out_of_step_too() -> None:
    client = ready()
    client.begin(ENVELOPE)

    actions = client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 deliv")

    assert isinstance(outcomes(actions)[0], Deferred)
    assert not any(isinstance(action, Send | SendContent) for action in actions)


def test_half_a_reply_while_idle_spoils_the_connection_for_the_next_message() -> None:
    client = ready()
    assert client.receive(b"421 4.4.2 idle f") == []

    finished, closed = client.begin(ENVELOPE)

    assert isinstance(finished, Finished)
    assert finished.untouched
    assert isinstance(closed, Closed)


@pytest.mark.parametrize("name", [b"relay.example", b"Relay.Example at your service"])
def test_a_server_by_our_own_name_gets_no_mail_unless_the_operator_means_it(name: bytes) -> None:
    """Its 550 to a recipient would be our own bounce port's, and say nothing about the mailbox."""
    for may_be_us in (False, True):
        client = SmtpClient("relay.example", TlsPolicy.CLEAR, may_be_us=may_be_us)
        client.receive(b"220 mx.example\r\n")
        *_, last = client.receive(b"250-" + name + b"\r\n250 PIPELINING\r\n")
        if may_be_us:
            assert last == Ready()
        else:
            assert isinstance(last, Closed)
            assert (last.reason.scope, last.reason.reply.enhanced) == (Scope.SITE, "4.4.6")


def test_a_message_begun_after_the_end_is_untouched() -> None:
    client = ready()
    client.lost("connection reset")

    (finished,) = client.begin(ENVELOPE)

    assert isinstance(finished, Finished)
    assert finished.untouched
    assert isinstance(finished.outcomes[0], Deferred)


def test_a_greeting_with_its_ehlo_reply_in_one_packet_is_out_of_step() -> None:
    client = SmtpClient("relay.example", TlsPolicy.CLEAR)

    actions = client.receive(b"220 mx.example\r\n250 mx.example\r\n")

    assert [type(action) for action in actions] == [Closed]


@pytest.mark.parametrize(
    ("answers", "untouched"),
    [
        (b"", True),
        (b"421 4.7.0 too many messages on this connection\r\n", True),
        (b"250 2.1.0 Ok\r\n", False),
        (b"550 5.7.1 no\r\n", False),
    ],
)
def test_untouched_means_that_nothing_of_the_message_was_answered(
    answers: bytes, *, untouched: bool
) -> None:
    client = ready()
    client.begin(ENVELOPE)

    actions = client.receive(answers) + client.lost("connection reset")

    (finished,) = (action for action in actions if isinstance(action, Finished))
    assert untouched is finished.untouched


def test_the_body_is_handed_on_without_a_copy() -> None:
    client = ready()
    client.begin(ENVELOPE)

    (send,) = client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")

    assert isinstance(send, SendContent)
    assert next(send.portions)[1] is ENVELOPE.body


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(b"250 2.0.0 taken, honestly\r\n", Deferred), (b"552 5.3.4 too big\r\n", Bounced)],
)
def test_an_answer_to_a_dot_that_has_not_left_us_can_only_refuse(
    reply: bytes, kind: type[Outcome]
) -> None:
    """And ends the conversation: the server is in the middle of the message."""
    client = ready()
    client.begin(ENVELOPE)
    client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")

    actions = client.receive(reply, flushed=False)

    assert isinstance(outcomes(actions)[0], kind)
    assert isinstance(actions[-1], Closed)


def test_the_stage_says_what_is_waited_for() -> None:
    client = ready()
    assert client.stage is None
    client.begin(ENVELOPE)
    assert client.stage is Stage.MAIL
    client.receive(b"250 ok\r\n250 ok\r\n")
    assert client.stage is Stage.DATA
    client.receive(b"354 go\r\n")
    assert client.stage is Stage.DOT


REPLY = st.sampled_from([b"250 ok", b"251 ok", b"354 go", b"421 bye", b"450 4.2.1 no", b"550 no"])


@given(
    replies=st.lists(REPLY | st.binary(max_size=6), max_size=8),
    recipients=st.integers(1, 3),
    pipelining=st.booleans(),
    flushed=st.booleans(),
)
def test_each_recipient_gets_one_outcome_whatever_the_server_says(
    replies: list[bytes], recipients: int, *, pipelining: bool, flushed: bool
) -> None:
    """Delivered needs a 2yz after the dot was written, Uncertain a dot without its reply."""
    client = ready(PIPELINING if pipelining else b"250 mx.example\r\n")
    envelope = Envelope("", tuple(f"{n}@mx.example" for n in range(recipients)), b"A: b\r\n", b"")
    actions = client.begin(envelope)
    dots = 0
    for reply in replies:
        if any(isinstance(action, Finished) for action in actions):
            break
        answered = client.receive(reply + b"\r\n")
        dots += sum(isinstance(a, SendContent) for a in answered)
        actions += answered
    if not any(isinstance(action, Finished) for action in actions):
        actions += client.lost("connection reset", flushed=flushed)

    results = outcomes(actions)

    assert recipients == len(results)
    assert dots <= 1
    for outcome in results:
        if isinstance(outcome, Delivered | Uncertain):
            assert dots == 1
        if isinstance(outcome, Delivered):
            assert outcome.reply.is_success
        if isinstance(outcome, Bounced):
            assert outcome.reply.is_permanent


def written(header: bytes, body: bytes) -> bytes:
    return b"".join(octets for portion in on_the_wire(header, body) for octets in portion)


PIECES = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"\0", b"a", b"..", b""]))


@given(PIECES.map(b"".join))
def test_what_leaves_holds_no_bare_line_end_and_comes_back_as_it_was(body: bytes) -> None:
    """Undoing the dots gives the message again, and nothing before the end looks like one."""
    header = b"A: b\r\n\r\n"
    rest = body.replace(b"\r\n", b"")
    if any(octet in rest for octet in (b"\r", b"\n", b"\0")):
        assert flaw(header, body) is not None
        return
    assert flaw(header, body) is None

    wire = written(header, body)

    assert wire.index(b"\r\n.\r\n") == len(wire) - 5
    text = (b"\r\n" + wire[:-3]).replace(b"\r\n.", b"\r\n")[2:]
    assert text in (header + body, header + body + b"\r\n")


@pytest.mark.parametrize("cut", range(-4, 5))
@pytest.mark.parametrize("line", [b"\r\n.\r\n", b"\r\n..", b"a.b\r\n", b"...."])
def test_a_large_message_is_cut_anywhere_and_says_the_same(cut: int, line: bytes) -> None:
    """Dots are doubled as if it were whole, also where a piece ends in the middle of it."""
    body = b"." + b"x" * (PIECE + cut - 1) + line + b"y" * PIECE + b"\r\n.z\r\n"

    expected = b"." + body.replace(b"\r\n.", b"\r\n..") + b".\r\n"

    assert b"A: b\r\n\r\n" + expected == written(b"A: b\r\n\r\n", body)


def test_a_line_end_that_is_cut_between_header_and_body_is_a_flaw() -> None:
    assert flaw(b"A: b\r\n\r", b"\ntext\r\n") is not None


def test_a_header_without_a_line_end_is_a_flaw() -> None:
    assert flaw(b"A: b", b"text\r\n") is not None


@given(st.lists(st.integers(1, 40)))
def test_replies_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    said = b"250-2.1.0 one\r\n250 2.1.0 two\r\n354\r\n550 5.1.1 no such user\n"
    reader = ReplyReader()
    replies = []
    for size in [*cuts, len(said)]:
        replies += reader.feed(said[:size])
        said = said[size:]

    assert [
        Reply(250, "one\ntwo", "2.1.0"),
        Reply(354, ""),
        Reply(550, "no such user", "5.1.1"),
    ] == replies
    assert reader.is_empty


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"25\r\n",
        b"250ok\r\n",
        b"150 preliminary\r\n",
        b"666 no\r\n",
        b"\xb2\xb2\xb2 no\r\n",
        b"a" * (ENDLESS + 1),
        b"250-more\r\n" * (ENDLESS // 10 + 1),
    ],
    ids=lambda said: said[:20].decode("latin-1").strip(),
)
def test_what_is_no_reply_is_refused(said: bytes) -> None:
    with pytest.raises(GarbledReply):
        ReplyReader().feed(said)


def test_control_characters_and_broken_utf_8_do_not_get_past_the_reader() -> None:
    (reply,) = ReplyReader().feed(b"550 a\0b\x1b[2J\xff\r\r\n")

    assert reply.text.isprintable()
