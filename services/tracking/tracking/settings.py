"""Settings of the tracking service."""

from typing import Annotated

from pydantic import Field

from posthouse.running.common_settings import EndpointSetting, WithSecretKey, WithTokens
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings
from posthouse.running.tcp import Endpoint


class WithTracking(Settings):
    """Settings for what recipients do, in every form of deployment."""

    tracking_listen: EndpointSetting = Endpoint("127.0.0.1", 2581)
    """HOST:PORT that recipients' clients call for opens, clicks and unsubscribing. The tracking
    hosts lead here, so the world reaches it on port 443; port 0 takes any free one."""

    resubscribe_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How many days after it unsubscribed a recipient may take that back on the same page, with 0
    never. That removes only what was listed through the same message."""


class TrackingSettings(ProgramSettings, WithTokens, WithSecretKey, WithTracking):
    """Settings of the tracking service."""
