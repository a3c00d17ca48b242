"""The store and the services agree from which claim on an item is a suspect.

The claims of the store have the number in an index, the services in their code.
"""

from dispatcher.core import next_action
from policy import service as policy_service
from servers.stores import a_submission, open_stores


async def test_a_submission_is_a_suspect_to_both_from_the_same_claim_on(database: str) -> None:
    async with open_stores(database) as stores:
        await stores.submissions.accept(a_submission())
        claims = 1
        while (await stores.submissions.claim(1, suspects=False)).submissions:
            assert not policy_service.is_suspect(claims)
            await stores.run_out()
            claims += 1
    assert policy_service.is_suspect(claims)


async def test_a_delivery_is_a_suspect_to_both_from_the_same_claim_on(database: str) -> None:
    async with open_stores(database) as stores:
        await stores.queue(recipients=("ann@dest.example",))
        abandoned = 0
        while (await stores.deliveries.claim(1, suspects=None)).deliveries:
            assert not next_action.is_suspect(abandoned)
            await stores.run_out()
            abandoned += 1
    assert next_action.is_suspect(abandoned)
