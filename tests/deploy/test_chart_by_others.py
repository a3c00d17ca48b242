"""What programs of others say of the chart: `make chart`, which installs them in .venv-chart."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charting.flags import ALL
from charting.rendering import ROOT, environment_of, of_kind, render, workloads
from charting.validation import mistakes

TOOLS = ROOT / ".venv-chart/bin"
# Which image it is, is known when it is published: both are told as an operator tells them.
IMAGE = {"image": {"repository": "registry.example.com/posthouse", "digest": "sha256:" + "0" * 64}}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not TOOLS.exists(), reason="no .venv-chart: Checkov and kubectl"),
]


def failed(values: dict[str, Any], folder: Path) -> set[tuple[str, str]]:
    """The checks of Checkov that fail, each with what failed."""
    (folder / "rendered.yaml").write_text(yaml.safe_dump_all(render({**values, **IMAGE})))
    done = subprocess.run(
        [
            *(TOOLS / "checkov", "--directory", folder, "--framework", "kubernetes"),
            *("--output", "json", "--skip-download"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 400, done.stderr
    return {(c["check_id"], c["resource"]) for c in report["results"]["failed_checks"]}


def test_checkov_finds_nothing_in_the_defaults(tmp_path: Path) -> None:
    assert set() == failed({}, tmp_path)


def test_checkov_finds_only_the_named_option_in_all_flags_together(tmp_path: Path) -> None:
    pools = {
        f"StatefulSet.mail.{d['metadata']['name']}" for d in of_kind(render(ALL), "StatefulSet")
    }
    assert {("CKV_K8S_19", pool) for pool in pools} == failed(ALL, tmp_path)


def test_kubectl_makes_an_installation_of_the_example() -> None:
    done = subprocess.run(
        [TOOLS / "kubectl", "kustomize", ROOT / "deploy/kubernetes/example"],
        capture_output=True,
        text=True,
        check=True,
    )
    documents = list(yaml.safe_load_all(done.stdout))
    assert len(render({})) == len(documents)
    assert [] == [text for document in documents for text in mistakes(document)]
    assert {"mail"} == {d["metadata"]["namespace"] for d in documents}
    for _, workload in workloads(documents):
        assert environment_of(workload)["POSTHOUSE_HOSTNAME"] == "relay.example.com"
