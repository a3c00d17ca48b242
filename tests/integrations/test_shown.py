"""What clients show for replies of the relay: the table of docs/integrations/replies.md."""

import re
from pathlib import Path

import pytest

from integrations.programs import command
from integrations.refusing import ANSWERS, refusing
from integrations.world import MARKS, World

pytestmark = MARKS
PAGE = Path(__file__).parents[2] / "docs/integrations/replies.md"


def rows() -> list[tuple[str, str, str]]:
    """Client, code and what is shown for it, of each cell."""
    table = PAGE.read_text().partition("<!-- table: begin -->")[2].partition("<!-- table: end")[0]
    head, _, *lines = (
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in table.strip().splitlines()
    )
    codes = [re.findall(r"\d{3}", cell)[0] for cell in head[1:]]
    assert list(ANSWERS) == codes
    return [
        (client, code, cell.strip("`"))
        for client, *cells in lines
        for code, cell in zip(codes, cells, strict=True)
    ]


@pytest.mark.parametrize(("client", "code", "shown"), rows())
async def test_what_is_shown(world: World, client: str, code: str, shown: str) -> None:
    async with refusing(world, code) as closed:
        done = await closed.run(await command(closed, client))

    assert 0 != done.status
    assert shown in done.said
