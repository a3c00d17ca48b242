"""Prometheus and promtool, Debian's, installed if need be."""

import shutil

import pytest

from servers.debian import CannotInstall, install


def need_prometheus() -> None:
    """Skip the test where Prometheus cannot be had."""
    try:
        install("prometheus", unless=lambda: shutil.which("promtool"))
    except CannotInstall as error:
        pytest.skip(f"no Prometheus: {error}")
