"""What the Dockerfile copies is let into the context of its build."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_is_copied_into_the_image_is_in_its_context() -> None:
    copies = re.findall(
        r"^COPY (?!--from)(?:--\S+ )*(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    copied = [source for line in copies for source in line.split()[:-1]]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:].rstrip("/") for line in lines if line.startswith("!")]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(source == one or source.startswith(f"{one}/") for one in allowed), source
