"""The kustomize base: what the chart renders with its defaults, without what is Helm's.

PYTHONPATH=tests python -m charting.kustomize
"""

from pathlib import Path
from typing import Any

import yaml

from charting.rendering import ROOT, Document, render

BASE = ROOT / "deploy/kubernetes/base/posthouse.yaml"
_HEAD = "# Made from deploy/helm/posthouse by `make manifests`; a test compares them.\n"
# Writes the same value twice rather than a reference to it.
_Plain = type("_Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
_OF_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def base() -> str:
    """The text of the base: every object, with no namespace of its own."""
    text: str = yaml.dump_all(
        [_without_helm(document) for document in render({})],
        Dumper=_Plain,
        sort_keys=False,
        width=110,
    )
    return _HEAD + text


def _without_helm(document: Document) -> Document:
    document["metadata"].pop("namespace")
    _drop_labels(document)
    return document


def _drop_labels(value: Any) -> None:
    if isinstance(value, dict):
        for name in _OF_HELM:
            value.pop(name, None)
        for below in value.values():
            _drop_labels(below)
    elif isinstance(value, list):
        for below in value:
            _drop_labels(below)


def main(path: Path = BASE) -> None:
    """Write it."""
    path.write_text(base())


if __name__ == "__main__":
    main()
