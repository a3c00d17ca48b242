"""What becomes of logins when their user changes: in each process within half a minute."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from posthouse.authentication.authenticator import Authenticator, Denial, Denied, LoggedIn
from posthouse.authentication.proofs import AuthKeys
from posthouse.mail.secret import Purpose, derive
from posthouse.smtp.commands import Credentials
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from servers.posthouse_command import Run

KEY = bytes(range(32))
HERE = "192.0.2.1"
Command: TypeAlias = Callable[..., Run]


class Process:
    """The logins of one process, with a clock of its own."""

    def __init__(self, database: Postgres) -> None:
        self.now = 0.0
        keys = AuthKeys(derive(KEY, Purpose.CREDENTIALS), derive(KEY, Purpose.SEALED_SECRETS))
        self.authenticator = Authenticator(AccountStore(database), keys, lambda: self.now, 30.0)

    async def log_in(self, secret: str) -> LoggedIn | Denied:
        """Of the user `shop`."""
        return await self.authenticator.authenticate(Credentials("shop", secret), HERE)

    async def goes_on(self, session: LoggedIn) -> bool:
        """Whether a session may send another message."""
        return await self.authenticator.current(*session) is not None


@pytest.fixture
async def processes(database: str) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        yield [Process(await stack.enter_async_context(Postgres(database))) for _ in range(2)]


@pytest.fixture
def secret(posthouse: Command) -> str:
    made = posthouse("credential", "create", "--username", "shop", "--json").stdout
    return str(json.loads(made)["secret"])


@pytest.mark.parametrize(
    "change",
    [("delete",), ("disable",), ("expire", "2020-01-01"), ("reset",), ("delete", "again")],
    ids=" ".join,
)
async def test_X03_sessions_end_in_every_process_within_half_a_minute(
    posthouse: Command, processes: list[Process], secret: str, change: tuple[str, ...]
) -> None:
    """Also where another user gets the name."""
    sessions = [await process.log_in(secret) for process in processes]
    name, *rest = change
    posthouse("credential", name, "shop", *(word for word in rest if word != "again"))
    if "again" in rest:
        posthouse("credential", "create", "--username", "shop")
    for process, session in zip(processes, sessions, strict=True):
        assert isinstance(session, LoggedIn)
        process.now = 30.0
        assert not await process.goes_on(session)
        assert await process.log_in(secret) == Denied(Denial.WRONG)


async def test_X03_sessions_of_the_old_secret_go_on_while_it_is_kept(
    posthouse: Command, processes: list[Process], secret: str
) -> None:
    process = processes[0]
    session = await process.log_in(secret)
    assert isinstance(session, LoggedIn)
    new = posthouse("credential", "reset", "shop", "--keep-previous", "24").stdout.split()[3]
    process.now = 30.0
    assert await process.goes_on(session)
    assert isinstance(await process.log_in(secret), LoggedIn)
    assert isinstance(await process.log_in(new), LoggedIn)
    posthouse("credential", "reset", "shop")
    process.now = 60.0
    assert not await process.goes_on(session)
