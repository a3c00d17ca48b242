"""What this relay is called in its own messages, and which hosts are its own."""

from uuid import UUID

from bounces.core.notice_text import Frame
from bounces.core.telling import host_of
from posthouse.running.identity import new_id
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


class RelayIdentity:
    """Names the sender of notices, and finds addresses that would lead back to us."""

    def __init__(self, database: Postgres, *, hostname: str, return_path_host: str | None) -> None:
        """*return_path_host* of domains without one of their own; None: *hostname*."""
        self._database = database
        self._accounts = AccountStore(database)
        self.hostname = hostname
        self._hosts = {hostname.lower(), return_path_host or hostname.lower()}

    async def takes_mail_for(self, host: str) -> bool:
        """Whether mail is returned to *host*: its MX leads here. Raises StoreUnavailable."""
        if host in self._hosts:
            return True
        return bool(await self._database.fetch("find_return_path_host", host))

    async def frame(self, account_id: UUID, sender: str) -> Frame:
        """The frame of a new notice about mail of *sender*. Raises StoreUnavailable.

        It comes from the sender's own domain, whose key then signs it, if the account has that
        domain; else from this relay.
        """
        domain = host_of(sender)
        owned = await self._accounts.find_sending_domains([(account_id, domain)])
        return Frame(new_id(), domain if owned else self.hostname, self.hostname)

    def own_frame(self) -> Frame:
        """The frame of a new notice that concerns no account."""
        return Frame(new_id(), self.hostname, self.hostname)
