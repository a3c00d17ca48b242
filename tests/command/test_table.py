"""Tables for people."""

import pytest

from command.table import print_table


def test_a_cell_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason that was imported may hold anything printable."""
    print_table(("address", "reason"), [("a@x.example", "[bold]no[/bold] [link=x]y[/]")], empty="")
    assert "[bold]no[/bold] [link=x]y[/]" in capsys.readouterr().out
