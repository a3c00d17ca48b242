"""Settings of the tracking service."""

from posthouse.running.common_settings import EndpointSetting, WithSecretKey
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings
from posthouse.running.tcp import Endpoint


class WithTracking(Settings):
    """Settings for what recipients do, in every form of deployment."""

    tracking_listen: EndpointSetting = Endpoint("127.0.0.1", 2581)
    """HOST:PORT that recipients' clients call for opens, clicks and unsubscribing. The tracking
    hosts lead here, so the world reaches it on port 443; port 0 takes any free one."""


class TrackingSettings(ProgramSettings, WithSecretKey, WithTracking):
    """Settings of the tracking service."""
