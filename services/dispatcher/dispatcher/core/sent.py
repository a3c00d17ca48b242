"""What became of one attempt, host by host."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dispatcher.core.envelope import Envelope
from dispatcher.core.second_look import Unconfirmed
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.scope import Scope


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcomes of one attempt, and where it ended."""

    outcomes: tuple[Outcome, ...]  # in the order of the recipients
    host: str = ""  # the last server tried, "mx.example[192.0.2.1]:25"
    tls: str = ""  # version and cipher, "" in clear
    source: str = ""  # the address of ours that was chosen for it, "" where the system chooses

    @property
    def is_complete(self) -> bool:
        """Whether no other host may accept what this one did not."""
        return not any(map(_is_left_over, self.outcomes))

    @property
    def host_failed(self) -> bool:
        """Whether the host could not be reached, or turned us away."""
        return any(map(_is_trouble, self.outcomes))

    @property
    def lacks_extensions(self) -> bool:
        """Whether the host cannot take this message, by the extensions it offers."""
        return not self.is_complete and not self.host_failed

    def left_over(self, recipients: tuple[str, ...]) -> tuple[str, ...]:
        """Those of *recipients* that another host of the route may accept."""
        pairs = zip(recipients, self.outcomes, strict=True)
        return tuple(recipient for recipient, outcome in pairs if _is_left_over(outcome))

    def envelope_of_left_over(self, envelope: Envelope) -> Envelope:
        """*envelope* with those recipients only."""
        return replace(envelope, recipients=self.left_over(envelope.recipients))

    def then(self, again: "Sent") -> "Sent":
        """With the outcomes of *again*, which tried those left over once more.

        A host in trouble may take what the next one cannot: then its outcome stays.
        """
        answers = iter(again.outcomes)
        outcomes = tuple(
            outcome if not _is_left_over(outcome) else self._worse(outcome, next(answers))
            for outcome in self.outcomes
        )
        return replace(again if outcomes != self.outcomes else self, outcomes=outcomes)

    def _worse(self, before: Outcome, after: Outcome) -> Outcome:
        stays = self.host and _is_trouble(before) and isinstance(after, Unconfirmed)
        return before if stays else after

    def and_without_address(self, hosts: Sequence[Deferred]) -> "Sent":
        """With what is known of the *hosts* that have no address to connect to.

        It counts where no host was tried, and a failure that may pass also where the others cannot
        take the message.
        """
        passing = [reason for reason in hosts if not isinstance(reason, Unconfirmed)]
        if hosts and not self.host:
            reason = max(passing or hosts, key=lambda deferred: deferred.reply.enhanced or "")
            return Sent((reason,) * len(self.outcomes))
        if not passing:
            return self
        outcomes = tuple(
            passing[0] if isinstance(outcome, Unconfirmed) else outcome for outcome in self.outcomes
        )
        return replace(self, outcomes=outcomes)


def _is_left_over(outcome: Outcome) -> bool:
    return isinstance(outcome, Deferred) and outcome.scope is Scope.HOST


def _is_trouble(outcome: Outcome) -> bool:
    return _is_left_over(outcome) and not isinstance(outcome, Unconfirmed)
