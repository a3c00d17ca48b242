"""Link sets: the same id for the same links of the same account, and for no others."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from posthouse.tracking.link_set import LinkSet

ONE, OTHER = UUID(int=1), UUID(int=2)
targets = st.lists(st.text(max_size=5), max_size=4)


@given(targets, targets)
def test_the_id_follows_from_account_and_targets(some: list[str], others: list[str]) -> None:
    mine = LinkSet.of(ONE, some)
    assert (len(mine.id), tuple(some)) == (10, mine.targets)
    assert mine == LinkSet.of(ONE, some)
    assert mine.id != LinkSet.of(OTHER, some).id
    assert (mine.id == LinkSet.of(ONE, others).id) == (some == others)


def test_where_one_target_ends_makes_a_difference() -> None:
    assert LinkSet.of(ONE, ["ab", "c"]).id != LinkSet.of(ONE, ["a", "bc"]).id
