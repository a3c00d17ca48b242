"""The lists of a whole relay: on and off them, as an operator sees it in the timeline."""

from collections.abc import Iterator

import pytest

from servers.whole_relay import ANY, Operator, running


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Of a relay whose mail goes to a server that refuses nobody@."""
    folder = tmp_path_factory.mktemp("lists")
    folder.chmod(0o711)
    data = folder / "data"
    with running("sink", "--listen", ANY, "--report", ANY) as sink:
        to = f"{sink['smtp']['host']}:{sink['smtp']['port']}"
        with running(
            *("up", "--data", str(data), "--route", to, "--listen", f"{ANY}/none"),
            *("--bounce-listen", ANY, "--health-listen", ANY),
            *("--tracking-listen", ANY, "--console-listen", ANY),
        ) as ready:
            yield Operator(data, ready["submission"][0]["port"])


def test_a_dead_address_is_listed_then_suppressed_and_tried_again_once_it_is_removed(
    operator: Operator,
) -> None:
    first = operator.story_of_mail_to("nobody@dest.example")
    assert "  bounced  " in first
    assert "put on the list: hard bounce" in first
    assert ": 550 5.1.1 no such mailbox here" in first

    second = operator.story_of_mail_to("Nobody@dest.example")
    assert "  suppressed Nobody@dest.example: on the bounce list since " in second
    assert "(no such mailbox), not attempted" in second

    operator("suppression", "remove", "nobody@dest.example")
    assert "put on the list: hard bounce" in operator.story_of_mail_to("nobody@dest.example")


def test_mail_to_a_domain_that_is_not_mailed_for_a_time(operator: Operator) -> None:
    operator("suppression", "add", "@closed.example", "--days", "1", "--reason", "moving house")
    story = operator.story_of_mail_to("ann@closed.example")
    assert "on the manual list as @closed.example since " in story
    assert "(moving house), not attempted" in story
    operator("suppression", "remove", "@closed.example")
    assert "  delivered  " in operator.story_of_mail_to("ann@closed.example")
