"""Images of others: pulled, or made of this machine's Debian packages where no registry answers.

A stand-in has the same programs, of Debian's version, under the names and the user that
docker-compose.yml reckons with. Debian has no Grafana: without a registry there is none.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from compose.compose_files import HOST, project
from servers.debian import CannotInstall, install

BASE = os.environ.get("PYTHON_IMAGE", "python:3.13-slim")
_HA = ("docker-compose.yml", "deploy/compose/ha.yml")
_OF_THE_BASE = (
    r"/(libc|libm|ld-linux-[\w-]+)\.so\.\d$"  # a newer C library takes these programs, too
)
_WGET = "#!/usr/bin/env python3\nimport sys, urllib.request\nurllib.request.urlopen(sys.argv[-1])\n"
_DOCKERFILE = """
FROM {base}
COPY bin/ /usr/local/bin/
COPY lib/ /opt/lib/
COPY share/ /usr/share/
RUN {prepared}
USER {user}
ENTRYPOINT {entrypoint}
CMD {command}
"""


class _StandIn(NamedTuple):
    variable: str  # of docker-compose.yml, which names the image
    package: str  # Debian's
    programs: Mapping[str, str]  # what the machine has, by the name that it has in the image
    folder: str = ""  # of the user's own
    files: str = ""  # in /usr/share
    command: str = "[]"


_EXPORTER = "prometheus-{}-exporter"
_KNOWN = {
    "haproxy": _StandIn(
        "HAPROXY_IMAGE",
        "haproxy",
        {"haproxy": "haproxy"},
        command='["-f", "/usr/local/etc/haproxy/haproxy.cfg"]',
    ),
    "prometheus": _StandIn(
        "PROMETHEUS_IMAGE",
        "prometheus",
        {"prometheus": "prometheus"},
        "/prometheus",
    ),
    "alertmanager": _StandIn(
        "ALERTMANAGER_IMAGE",
        "prometheus-alertmanager",
        {"alertmanager": "prometheus-alertmanager", "amtool": "amtool"},
        "/alertmanager",
        "prometheus/alertmanager",
    ),
    **{
        f"{name}-exporter": _StandIn(
            f"{name.upper()}_EXPORTER_IMAGE",
            _EXPORTER.format(name),
            {f"{name}-exporter": _EXPORTER.format(name)},
        )
        for name in ("postgres", "node")
    },
}


def images_of(*names: str) -> dict[str, str]:
    """Settings of a stack by which it finds an image for each of these services; skips the test."""
    wanted = project(HOST, files=_HA)["services"]
    missing = [name for name in names if not is_had(wanted[name]["image"])]
    try:
        return {_KNOWN[name].variable: _build(name) for name in missing}
    except CannotInstall as error:
        pytest.skip(f"no image of {', '.join(missing)}: {error}")


def is_had(image: str) -> bool:
    """Whether the engine has it, pulled if need be."""
    return any(
        subprocess.run(["docker", *words, image], capture_output=True, check=False).returncode == 0
        for words in (("image", "inspect"), ("pull", "--quiet"))
    )


def _build(name: str) -> str:
    known, image = _KNOWN[name], f"posthouse-test/{name}:debian"
    install(known.package, unless=lambda: all(map(shutil.which, known.programs.values())))
    with TemporaryDirectory() as place:
        for folder in ("bin", "lib", "share"):
            (Path(place) / folder).mkdir()
        if known.files:
            shutil.copytree(Path("/usr/share") / known.files, Path(place) / "share" / known.files)
        for name_there, name_here in known.programs.items():
            _copy(name_there, shutil.which(name_here) or name_here, Path(place))
        wget = Path(place) / "bin/wget"
        wget.write_text(_WGET)
        wget.chmod(0o755)
        (Path(place) / "Dockerfile").write_text(_dockerfile(known))
        build = ["docker", "build", "--quiet", "--tag", image, place]
        subprocess.run(build, check=True, capture_output=True)
    return image


def _copy(name: str, program: str, place: Path) -> None:
    """*program*, and the libraries that it needs beside those of every Debian."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"=> (/\S+)", said):
        if not re.search(_OF_THE_BASE, library):
            shutil.copy(library, place / "lib")
    if any((place / "lib").iterdir()):
        shutil.copy(program, place / "lib" / name)
        wrapper = place / "bin" / name
        wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH=/opt/lib exec /opt/lib/{name} "$@"\n')
        wrapper.chmod(0o755)
    else:
        shutil.copy(program, place / "bin" / name)


def _dockerfile(known: _StandIn) -> str:
    return _DOCKERFILE.format(
        base=BASE,
        prepared=f"install -d -o nobody {known.folder}" if known.folder else "true",
        user="nobody",
        entrypoint=f'["{next(iter(known.programs))}"]',
        command=known.command,
    )
