"""The doctor tells a key of the operator what it found, and nobody else."""

from posthouse.doctor.check_result import CheckName, wrong
from posthouse.mail.permission import Permission
from posthouse.store.examinations import ExaminationStore
from servers.running_console import OTHER, RunningConsole

FOUND = wrong(CheckName.ROUTES, "POSTHOUSE_ROUTES", "all mail goes to sink:2600", "change it")


async def test_what_was_found_is_told_to_keys_with_the_permission(console: RunningConsole) -> None:
    await ExaminationStore(console.stores.database).record("dispatcher", "host-1", [FOUND])
    answer = await console.get("/v1/doctor")
    assert 200 == answer.status
    (place,) = answer.value["places"]
    assert ("dispatcher", "host-1") == (place["program"], place["host"])
    (one,) = place["results"]
    assert ("routes", "wrong", FOUND.seen, FOUND.why) == (
        one["check"], one["state"], one["seen"], one["why"]
    )  # fmt: skip


async def test_a_key_of_a_customer_hears_nothing(console: RunningConsole) -> None:
    others = frozenset(Permission) - {Permission.READ_INSTALLATION}
    await console.user("customer", OTHER, permissions=others)
    answer = await console.get("/v1/doctor", user="customer")
    assert 403 == answer.status
