"""What the programs of the relay call themselves, and what is made of it."""

from posthouse.store.relay_names import NameOnRecord, RelayName, relay_names
from servers.stores import Stores


async def test_before_any_program_ran_there_is_no_name(stores: Stores) -> None:
    assert await relay_names(stores.database) is None


async def test_each_part_is_called_as_the_program_that_does_it(stores: Stores) -> None:
    for name in (
        RelayName("policy", "Relay.Example", "back.example", "t.example"),
        RelayName("ingest", "in.example"),
        RelayName("dispatcher", "out.example"),
        RelayName("bounces", "mx.example", "back.example"),
    ):
        await NameOnRecord(stores.database, name).say()
    names = await relay_names(stores.database)
    assert names is not None
    assert ("in.example", "out.example", "mx.example", "back.example", "t.example") == (
        names.submission,
        names.sending,
        names.receiving,
        names.return_path_host,
        names.tracking_host,
    )
    assert names.differing == (
        "in.example (ingest); mx.example (bounces); out.example (dispatcher); "
        "relay.example (policy)"
    )


async def test_a_relay_that_was_renamed_has_its_new_name_at_once_and_alone_in_an_hour(
    stores: Stores,
) -> None:
    await NameOnRecord(stores.database, RelayName("up", "old.example")).say()
    await stores.sql("UPDATE relay_names SET seen_at = now() - interval '59 minutes'")
    await NameOnRecord(stores.database, RelayName("up", "new.example")).say()
    names = await relay_names(stores.database)
    assert names is not None
    assert (names.sending, names.return_path_host) == ("new.example", "new.example")
    assert names.differing == "new.example (up); old.example (up)"
    await stores.sql("UPDATE relay_names SET seen_at = seen_at - interval '2 minutes'")
    await NameOnRecord(stores.database, RelayName("up", "new.example")).say()
    names = await relay_names(stores.database)
    assert names is not None
    assert names.differing == ""
