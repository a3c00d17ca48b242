"""Where replies may go, by the knob `sender.reply_to` (RULES X13)."""

import pytest

from servers.admitting import admitted, facts_for, incoming, refused

FROM = "From: Jo <jo@a.example>\n"


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "Reply-To: jo@a.example",
        "Reply-To: <Jo@A.example>",
        "Reply-To: Other name <jo@a.example>",
        'Reply-To: "jo"@a.example',
    ],
)
def test_U21_replies_may_go_to_the_author(fields: str) -> None:
    assert admitted(incoming(FROM + fields, facts_for("mailup")))


@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ("Reply-To: al@a.example", "5.7.1 Reply-To 'al@a.example' differs from From, jo@a.example"),
        ("Reply-To: jo@b.example", "5.7.1 Reply-To 'jo@b.example' differs from From"),
        ("Reply-To: jo@a.example, al@a.example", "5.7.1 Reply-To 'al@a.example' differs"),
        ("Reply-To: no address", "5.6.0 The Reply-To header cannot be read"),
        (
            "Reply-To: jo@a.example\nReply-To: jo@a.example",
            "5.6.0 The message has more than one Reply-To header",
        ),
    ],
)
def test_X13_U21_another_reply_to_is_refused_unless_enabled(fields: str, reply: str) -> None:
    assert refused(incoming(FROM + fields, facts_for("mailup"))).startswith(f"550 {reply}")
    enabled = facts_for("mailup", sender__reply_to="free")
    assert admitted(incoming(FROM + fields, enabled))


def test_U21_each_author_may_get_the_replies() -> None:
    both = "From: jo@a.example, al@a.example\nSender: jo@a.example\nReply-To: al@a.example"
    assert admitted(incoming(both, facts_for("mailup")))


def test_E16_one_reply_to_at_most() -> None:
    facts = facts_for("native", sender__reply_to="single")
    assert admitted(incoming(FROM + "Reply-To: any@b.example", facts))
    twice = FROM + "Reply-To: any@b.example\nreply-to: any@b.example"
    assert refused(incoming(twice, facts)) == (
        "550 5.6.0 The message has more than one Reply-To header"
    )
    assert admitted(incoming(twice, facts_for("native")))
