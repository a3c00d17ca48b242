"""What an account needs to know to send (RULES T06a)."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from console.call import Call, ConsoleRoute, as_json
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse
from posthouse.mail.permission import Permission
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.relay_names import relay_names


class DomainOfAccount(Struct, frozen=True):
    """A domain that the account sends as, once it is verified."""

    name: str
    verified: bool


class SmtpDetails(Struct, frozen=True):
    """Where and as whom mail is submitted."""

    host: str | None  # null: no program that takes mail has said its name
    ports: list[str]
    users: list[str]


class SmtpOfAccount(Struct, frozen=True):
    """An account; null for the details: none of its domains is verified."""

    account: str
    domains: list[DomainOfAccount]
    smtp: SmtpDetails | None


class AccountRoutes:
    """Reads."""

    def __init__(self, database: Postgres, ports: Sequence[str], host: str | None = None) -> None:
        """*host* and *ports*: as customers use them; without *host* the relay's own name."""
        self._database = database
        self._accounts = AccountStore(database)
        self._ports = ports
        self._host = host

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        about = About(
            "Tell host, ports and users for SMTP, once a domain of the account is verified.",
            ((200, "The account.", SmtpOfAccount),),
        )
        yield ConsoleRoute("GET", "/v1/account/smtp", None, self.smtp, about)

    async def smtp(self, call: Call) -> HttpResponse:
        """How one account submits by SMTP."""
        name, id_ = call.account
        domains = [DomainOfAccount(*one) for one in await self._accounts.domains_of(id_)]
        details = None
        if any(domain.verified for domain in domains):
            rows = await self._accounts.credentials.find(account=name)
            users = [
                row["username"]
                for row in rows
                if row["active"] and Permission.SMTP in row["permissions"]
            ]
            details = SmtpDetails(await self._known_host(), list(self._ports), users)
        return as_json(SmtpOfAccount(name, domains, details))

    async def _known_host(self) -> str | None:
        if self._host is not None:
            return self._host
        names = await relay_names(self._database)
        return None if names is None else names.submission
