"""deploy/compose/settings.yml has every setting, so that what .env says of it reaches the services.

When this fails, write it again: POSTHOUSE_TEST_WRITE_REFERENCE=1 .venv/bin/pytest tests/compose
"""

import os

from compose.compose_files import ROOT
from onebox.all_settings import known_names

FILE = ROOT / "deploy/compose/settings.yml"
HEAD = """\
# Every setting: services are given those that .env has. Written by tests/compose.
services:
  settings:
    environment:
"""


def test_every_setting_is_handed_on() -> None:
    wanted = HEAD + "".join(f"      - {name}\n" for name in sorted(known_names()))
    if os.environ.get("POSTHOUSE_TEST_WRITE_REFERENCE"):
        FILE.write_text(wanted)
    assert wanted == FILE.read_text()
