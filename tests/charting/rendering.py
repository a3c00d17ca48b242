"""Renders the chart without a cluster."""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/posthouse"

Document: TypeAlias = dict[str, Any]
Values: TypeAlias = Mapping[str, Any]

PLAIN = {"Deployment", "StatefulSet", "Job"}


@cache
def chart() -> Any:
    """The chart as it lies in this working copy."""
    return helm_python.Chart.load(CHART)


def render_text(values: Values, *, revision: int = 1) -> dict[str, str]:
    """Each template's name and text, for the release `posthouse` in the namespace `mail`."""
    rendered: dict[str, str] = chart().render(
        dict(values), name="posthouse", namespace="mail", revision=revision
    )
    return {path.removeprefix("posthouse/templates/"): text for path, text in rendered.items()}


def render(values: Values, *, revision: int = 1) -> list[Document]:
    """Every object that Helm would send to the cluster."""
    return [
        document
        for path, text in sorted(render_text(values, revision=revision).items())
        if path.endswith(".yaml")
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if document
    ]


def default_values() -> dict[str, Any]:
    """What values.yaml says."""
    return copy.deepcopy(dict(chart().values))


def schema() -> dict[str, Any]:
    """What values.schema.json says."""
    found: dict[str, Any] = chart().schema
    return found


def key_of(document: Document) -> tuple[str, str]:
    """Its kind and name."""
    return document["kind"], document["metadata"]["name"]


def named(documents: list[Document], kind: str, name: str) -> Document:
    """The one object of this kind and name."""
    (found,) = [d for d in documents if key_of(d) == (kind, name)]
    return found


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    """All objects of a kind."""
    return [d for d in documents if d["kind"] == kind]


def workloads(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Each of our programs: the component, and its Deployment, StatefulSet or Job."""
    for document in documents:
        if document["kind"] in PLAIN:
            yield document["metadata"]["labels"]["app.kubernetes.io/component"], document


def pod_of(workload: Document) -> Document:
    """The template of its Pods."""
    found: Document = workload["spec"]["template"]
    return found


def container_of(workload: Document) -> Document:
    """Its only container."""
    (found,) = pod_of(workload)["spec"]["containers"]
    container: Document = found
    return container


def environment_of(workload: Document) -> dict[str, str]:
    """The variables of its container that are written out."""
    return {e["name"]: e["value"] for e in container_of(workload).get("env", ()) if "value" in e}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector, or the plain labels of a Service's, takes *labels*."""
    plain = selector.get("matchLabels", selector)
    if any(labels.get(k) != v for k, v in plain.items() if isinstance(v, str)):
        return False
    return all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", ()))
