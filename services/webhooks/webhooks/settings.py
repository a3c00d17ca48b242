"""Settings of the webhooks service."""

from posthouse.running.common_settings import WithSecretKey
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings


class WithWebhooks(Settings):
    """Settings for telling customers, in every form of deployment."""


class WebhooksSettings(ProgramSettings, WithSecretKey, WithWebhooks):
    """Settings of the webhooks service."""
