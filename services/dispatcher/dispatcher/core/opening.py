"""How a conversation begins, client side: greeting, EHLO or HELO, STARTTLS, AUTH.

RFC 5321 sections 3.1 and 3.2, RFC 3207, RFC 4954. A login is never sent in clear unless the route
says so, whatever the server offers.
"""

from collections.abc import Callable
from typing import TypeAlias

from dispatcher.core.actions import Closed, Ready, Say, StartTls
from dispatcher.core.classify import greeted_by_ourselves, login_refused, not_encrypted, turned_away
from dispatcher.core.relay_login import LoginDialog, RelayLogin
from dispatcher.core.routes import TlsPolicy
from posthouse.answers import Stage
from posthouse.mail.reply import Reply

_UNKNOWN_MECHANISM = 504  # RFC 4954 section 4


Step: TypeAlias = Say | StartTls | Ready | Closed


class Opening:
    """Decides what follows each reply until transactions may begin."""

    def __init__(
        self,
        helo: str,
        tls: TlsPolicy,
        login: RelayLogin | None = None,
        *,
        by_helo: bool = False,
        may_be_us: bool = True,
    ) -> None:
        """*by_helo*: the server hung up on EHLO before, so HELO it is (RFC 5321 section 3.2).

        Unless it *may_be_us*, a server that calls itself *helo* gets no mail.
        """
        self.extensions: dict[str, str] = {}  # that the server offers
        self.encrypted = False
        self._helo = helo
        self._tls = tls
        self._login = login
        self._by_helo = by_helo
        self._may_be_us = may_be_us
        self._dialog: LoginDialog | None = None

    def tls_started(self) -> Say | None:
        """What was learnt in clear is forgotten (RFC 3207 section 4.2); None: it speaks first."""
        self.encrypted = True
        self.extensions = {}
        return None if self._tls is TlsPolicy.IMPLICIT else self._hello()

    def on_reply(self, stage: Stage, reply: Reply) -> Step:
        """What follows *reply* to *stage*."""
        return _ON_REPLY[stage](self, reply)

    def _hello(self) -> Say:
        stage = Stage.HELO if self._by_helo else Stage.EHLO
        return Say(stage, f"{stage} {self._helo}\r\n")

    def _on_greeting(self, reply: Reply) -> Step:
        return self._hello() if reply.is_success else _turned_away(reply, Stage.GREETING)

    def _on_ehlo(self, reply: Reply) -> Step:
        if reply.is_permanent:
            return Say(Stage.HELO, f"HELO {self._helo}\r\n")
        if not reply.is_success:
            return _turned_away(reply, Stage.EHLO)
        name, *lines = reply.text.upper().split("\n")
        if not self._may_be_us and name.partition(" ")[0] == self._helo.upper():
            return Closed(greeted_by_ourselves(), Stage.EHLO)
        self.extensions = dict(line.partition(" ")[::2] for line in lines)
        return self._encrypt_or_go_on()

    def _on_helo(self, reply: Reply) -> Step:
        return self._encrypt_or_go_on() if reply.is_success else _turned_away(reply, Stage.HELO)

    def _encrypt_or_go_on(self) -> Step:
        if self.encrypted or self._tls is TlsPolicy.CLEAR:
            return self._log_in_or_go_on()
        if "STARTTLS" in self.extensions:
            return Say(Stage.STARTTLS, "STARTTLS\r\n")
        if self._tls is TlsPolicy.OPPORTUNISTIC:
            return self._log_in_or_go_on()
        reason = not_encrypted("TLS is required, and the host does not offer STARTTLS")
        return Closed(reason, Stage.STARTTLS)

    def _on_starttls(self, reply: Reply) -> Step:
        if reply.is_success:
            return StartTls()
        if self._tls is TlsPolicy.OPPORTUNISTIC:
            return self._log_in_or_go_on()
        return _turned_away(reply, Stage.STARTTLS)

    def _log_in_or_go_on(self) -> Step:
        if self._login is None:
            return Ready()
        if not self.encrypted and self._tls is not TlsPolicy.CLEAR:
            return Closed(not_encrypted("our login is not for an open line"), Stage.STARTTLS)
        offered = self.extensions.get("AUTH", "").split()
        self._dialog = LoginDialog(self._login, offered, encrypted=self.encrypted)
        unknown = Reply(504, f"no AUTH that we know: it offers {' '.join(offered) or 'none'}")
        return self._next_mechanism(unknown)

    def _next_mechanism(self, why: Reply) -> Step:
        assert self._dialog is not None
        if (command := self._dialog.begin()) is None:
            return Closed(login_refused(why), Stage.AUTH)
        return Say(Stage.AUTH, f"{command}\r\n")

    def _on_auth(self, reply: Reply) -> Step:
        assert self._dialog is not None
        if reply.is_success:
            return Ready()
        if reply.code == _UNKNOWN_MECHANISM:
            return self._next_mechanism(reply)
        if not reply.is_intermediate:
            return Closed(login_refused(reply), Stage.AUTH)
        if (response := self._dialog.respond(reply.text)) is None:
            unclear = Reply(501, "there is no answer to the challenge of the relay", "5.5.2")
            return Closed(login_refused(unclear), Stage.AUTH)
        return Say(Stage.AUTH, f"{response}\r\n")


def _turned_away(reply: Reply, stage: Stage) -> Closed:
    return Closed(turned_away(reply, stage), stage)


_ON_REPLY: dict[Stage, Callable[[Opening, Reply], Step]] = {
    Stage.GREETING: Opening._on_greeting,  # noqa: SLF001 - the table is part of the class
    Stage.EHLO: Opening._on_ehlo,  # noqa: SLF001
    Stage.HELO: Opening._on_helo,  # noqa: SLF001
    Stage.STARTTLS: Opening._on_starttls,  # noqa: SLF001
    Stage.AUTH: Opening._on_auth,  # noqa: SLF001
}
