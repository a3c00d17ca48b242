"""The settings of the policy service."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from posthouse.mail.dkim_key import BrokenKey, from_pem
from posthouse.running.common_settings import (
    WithNameservers,
    WithRelayDkimDomain,
    WithReturnPathHost,
    WithSecretKey,
    WithTokens,
    WithTrackingUrl,
)
from posthouse.running.program import ProgramSettings


class WithPolicy(
    WithRelayDkimDomain, WithReturnPathHost, WithNameservers, WithTokens, WithTrackingUrl
):
    """Settings of preparing, for the service by itself and for the relay in one process."""

    relay_dkim_selector: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] = "posthouse"
    """Selector under which the relay's own DKIM key is published."""

    relay_dkim_key: SecretStr | None = None
    """The relay's own DKIM key: RSA or Ed25519, PKCS#8 in PEM, not encrypted."""

    dkim_verify_one_in: Annotated[int, Field(ge=0)] = 1000
    """Share of signed messages that another implementation of DKIM verifies before they leave, and
    with them the first message of each key: 1000 is one in a thousand, 0 is none. A message that
    does not verify is postponed. Verifying takes 1 ms for a message of 10 KB; messages over 64 KiB
    are left out."""

    policy_batch: Annotated[int, Field(ge=1, le=1000)] = 64
    """Most submissions that are prepared and committed together."""

    lease_seconds: Annotated[float, Field(ge=5, le=600)] = 20.0
    """How long claimed work waits for a process that died before another one claims it."""

    @model_validator(mode="after")
    def _a_relay_key_is_whole(self) -> Self:
        if (self.relay_dkim_domain is None) != (self.relay_dkim_key is None):
            raise ValueError(
                "POSTHOUSE_RELAY_DKIM_DOMAIN and POSTHOUSE_RELAY_DKIM_KEY are set together or not "
                "at all"
            )
        if self.relay_dkim_key is not None:
            try:
                from_pem(self.relay_dkim_key.get_secret_value().encode())
            except BrokenKey as error:
                raise ValueError(f"POSTHOUSE_RELAY_DKIM_KEY: {error}") from error
        return self


class PolicySettings(ProgramSettings, WithSecretKey, WithPolicy):
    """Settings of the policy service."""
