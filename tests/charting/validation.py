"""Whether Kubernetes, or the operator that an object is for, would take it."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from charting.operators import SPECS
from charting.rendering import Document

# The oldest that the chart names, and the newest.
VERSIONS = ("1.30.0", "1.37.0")


def mistakes(document: Document) -> tuple[str, ...]:
    """What is wrong with it, in either version; most objects are the same in most renderings."""
    return _mistakes(json.dumps(document, sort_keys=True))


@cache
def _mistakes(text: str) -> tuple[str, ...]:
    document = json.loads(text)
    return tuple(
        f"{document['kind']} {document['metadata']['name']}: {m}" for m in _found(document)
    )


def _found(document: Document) -> Iterator[str]:
    api, kind = document["apiVersion"], document["kind"]
    if (api, kind) in SPECS:
        yield from _texts(jsonschema.Draft202012Validator(SPECS[api, kind]), document["spec"])
        return
    for version in VERSIONS:
        yield from _texts(_strict(version, api, kind), document)


def _texts(validator: Any, value: object) -> Iterator[str]:
    for error in validator.iter_errors(value):
        yield f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"


@cache
def _strict(version: str, api: str, kind: str) -> Any:
    """What `kubernetes-validate --strict` goes by; it would read two megabytes for each object."""
    schema = schema_contents(f"{_folder(version)}/{_file(api, kind)}", version)
    registry = Resource.from_contents(schema) @ (_definitions(version) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


@cache
def _definitions(version: str) -> Any:
    return Resource.from_contents(schema_contents(f"{_folder(version)}/_definitions.json", version))


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}-local-strict"


def _file(api: str, kind: str) -> str:
    group = re.sub(r"^([^./]*)(?:[.][^/]*)?/", r"\1-", api)  # networking.k8s.io/v1: networking-v1
    return f"{kind.lower()}-{group}.json"
