"""What a login means is found out once, and again when the login is another one."""

from dataclasses import replace
from uuid import UUID

import pytest

from ingest.core.operator_rules import OperatorRules
from ingest.core.option_rules import apply_options
from ingest.session_facts import KnownFacts
from posthouse.profiles import preset_names, resolve
from servers.door import LOGIN


def test_facts_are_made_once_for_a_login_and_again_for_another_one() -> None:
    known = KnownFacts(1_000, 65_536)
    facts = known.of(LOGIN)
    assert known.of(LOGIN) is facts
    assert facts == KnownFacts(1_000, 65_536).of(LOGIN)
    changed = replace(LOGIN, domains=frozenset(("else.example",)))
    assert changed.domains == known.of(changed).domains
    assert known.of(LOGIN).domains == LOGIN.domains


def test_of_one_login_there_are_facts_with_options_and_for_a_child_of_its_account() -> None:
    known = KnownFacts(1_000, 65_536)
    child = LOGIN.only_for(UUID(int=9))
    for _ in range(2):
        assert apply_options not in known.of(LOGIN).rules
        assert apply_options in known.of(LOGIN, has_options=True).rules
        assert UUID(int=9) == known.of(child).account_id
    assert known.of(LOGIN).account_id == LOGIN.account_id


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("opens", [True, False])
def test_facts_under_another_profile_are_those_of_a_login_that_has_it(
    preset: str, *, opens: bool
) -> None:
    """As far as the operator lets it."""
    rules = OperatorRules(unverified_senders=opens, sandbox_domain="try.example")
    known = KnownFacts(1_000, 65_537, rules)
    profile = resolve(preset)
    found = known.under(known.of(LOGIN), profile, profile.revision)
    wanted = known.of(replace(LOGIN, profile=preset))
    assert wanted == replace(found, profile_name=preset)
