"""One case after the other, each on a relay of its own."""

import random
import traceback
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from chaos.cases import CASES, Case
from chaos.long_tests import NAME as LONG_TESTS
from chaos.long_tests import run_long_tests
from chaos.ordeal import Result, Running, ordeal, told_ordeal
from chaos.relay import Onebox, Split
from chaos.stage import CannotRun, Stage
from chaos.told import SETTINGS

NAMES = (*(case.name for case in CASES), LONG_TESTS)


async def carry_out(stage: Stage, name: str, strikes: int, running: Running) -> Result:
    """Whatever happens, a result: the cases behind this one are still to be tried."""
    if name == LONG_TESTS:
        return await run_long_tests(running.messages)
    case = next(case for case in CASES if case.name == name)
    running.blows = len(case.blows(strikes))
    try:
        async with _relay(stage, case) as relay:
            _check(case, relay)
            seed = random.SystemRandom().randrange(1 << 32)
            carried_out = told_ordeal if case.told else ordeal
            result = await carried_out(case, relay, strikes, seed, running)
    except CannotRun as reason:
        result = Result(name, case.says, not_run=str(reason))
    except Exception as error:  # noqa: BLE001 -- a case that ends so has broken a promise, too
        trace = traceback.extract_tb(error.__traceback__)[-1]
        broken = (f"{type(error).__name__} in {trace.name}: {error}",)
        result = Result(name, case.says, running.messages, running.struck, broken=broken)
    if result.broken:
        return replace(result, note=f"its logs: {stage.keep(name)}")
    stage.clear(name)
    return result


def _relay(stage: Stage, case: Case) -> AbstractAsyncContextManager[Onebox | Split]:
    if case.split:
        return stage.split(case.name)
    return stage.onebox(case.name, SETTINGS if case.told else None)


def _check(case: Case, relay: Onebox | Split) -> None:
    """CannotRun when a part that is to be struck is missing."""
    if "worker" in case.services and isinstance(relay, Onebox) and not relay.program.workers():
        raise CannotRun("`posthouse up` started no second process")
    if not set(case.servers) <= set(relay.parts):
        raise CannotRun("POSTHOUSE_TEST_AMQP_URL names a RabbitMQ that we may not strike")
