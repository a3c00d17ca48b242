"""Settings of the console service."""

from posthouse.running.common_settings import EndpointSetting, WithSecretKey
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings
from posthouse.running.tcp import Endpoint


class WithConsole(Settings):
    """Settings for what customers ask, in every form of deployment."""

    console_listen: EndpointSetting = Endpoint("127.0.0.1", 2582)
    """HOST:PORT of the API that says what became of mail; port 0 takes any free one."""


class ConsoleSettings(ProgramSettings, WithSecretKey, WithConsole):
    """Settings of the console service."""
