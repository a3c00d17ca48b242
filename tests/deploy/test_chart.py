"""The Helm chart with its defaults, with each flag alone and with all of them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from charting.flags import cases
from charting.policies import findings
from charting.rendering import (
    Document,
    container_of,
    environment_of,
    key_of,
    named,
    of_kind,
    pod_of,
    render,
    selects,
    workloads,
)
from charting.validation import mistakes
from onebox.all_settings import SERVICES, known_names
from onebox.installation_settings import InstallationSettings
from posthouse.running.settings import load

CASES = cases()
EACH = pytest.mark.parametrize("case", CASES)
# Rules that a named option breaks, and by what.
ALLOWED = {
    "dispatcher.hostNetwork": "hostNetwork",
    "all": "hostNetwork",
    "all, with a hook": "hostNetwork",
    "networkPolicy.enabled": "no NetworkPolicy denies all",
}
SECRETS = {
    "database": "postgresql://posthouse:secret@database:5432/posthouse",
    "broker": "amqp://posthouse:secret@broker:5672/",
    "secret-key": "A" * 43 + "=",
    "relay-dkim": Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode(),
}


@cache
def rendered(case: str) -> list[Document]:
    return render(CASES[case])


@EACH
def test_kubernetes_and_the_operators_take_what_is_rendered(case: str) -> None:
    assert [] == [text for document in rendered(case) for text in mistakes(document)]


@EACH
def test_no_policy_is_broken_but_by_the_option_that_says_so(case: str) -> None:
    found = {text.partition(": ")[2] for text in findings(rendered(case))}
    assert ({ALLOWED[case]} if case in ALLOWED else set()) == found
    assert all("dispatcher" in text for text in findings(rendered(case)) if "hostNetwork" in text)


@EACH
def test_each_value_changes_something(case: str) -> None:
    assert (case == "defaults") == (rendered("defaults") == rendered(case))


@EACH
def test_objects_find_each_other(case: str) -> None:
    documents = rendered(case)
    keys = [key_of(d) for d in documents]
    assert len(set(keys)) == len(keys)
    pods = {key_of(w): pod_of(w)["metadata"]["labels"] for _, w in workloads(documents)}
    for _, workload in workloads(documents):
        if workload["kind"] != "Job":
            taken = {k for k, v in pods.items() if selects(workload["spec"]["selector"], v)}
            assert {key_of(workload)} == taken
    for service in of_kind(documents, "Service"):
        _leads_somewhere(service, documents)
    for budget in of_kind(documents, "PodDisruptionBudget"):
        assert any(selects(budget["spec"]["selector"], labels) for labels in pods.values())
    scalers = ("ScaledObject", "HorizontalPodAutoscaler")
    for scaled in (d for kind in scalers for d in of_kind(documents, kind)):
        target = scaled["spec"]["scaleTargetRef"]
        found = named(documents, target.get("kind", "Deployment"), target["name"])
        assert "replicas" not in found["spec"], "two would decide how many run"
    for ingress in of_kind(documents, "Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        ports = named(documents, "Service", backend["name"])["spec"]["ports"]
        assert backend["port"]["name"] in {port["name"] for port in ports}


def _leads_somewhere(service: Document, documents: list[Document]) -> None:
    behind = [
        container_of(workload)
        for _, workload in workloads(documents)
        if workload["kind"] != "Job"
        and selects(service["spec"]["selector"], pod_of(workload)["metadata"]["labels"])
    ]
    assert behind
    for container in behind:
        ports = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@EACH
def test_each_program_accepts_its_environment(case: str, tmp_path: Path) -> None:
    for path, content in SECRETS.items():
        (tmp_path / path).mkdir()
        (tmp_path / path / "value").write_text(content)
    for component, workload in workloads(rendered(case)):
        variables = {
            name: value.replace("/etc/posthouse", str(tmp_path))
            for name, value in environment_of(workload).items()
        }
        model = SERVICES.get(component, InstallationSettings)
        load(model, variables, also_known=known_names)


@EACH
def test_files_that_settings_name_are_mounted(case: str) -> None:
    for _, workload in workloads(rendered(case)):
        mounts = {m["mountPath"]: m["name"] for m in container_of(workload)["volumeMounts"]}
        volumes = {v["name"]: v for v in pod_of(workload)["spec"]["volumes"]}
        assert set(mounts.values()) <= set(volumes)
        for value in environment_of(workload).values():
            if value.startswith("/"):
                folder = value if value in mounts else str(Path(value).parent)
                assert folder in mounts, value
        for name, volume in volumes.items():
            if "secret" in volume and "items" in volume["secret"]:
                assert mounts[f"/etc/posthouse/{name}"] == name


@EACH
def test_a_pod_is_killed_only_after_its_program_gave_up(case: str) -> None:
    for component, workload in workloads(rendered(case)):
        if component == "migrate":
            continue
        hook = container_of(workload).get("lifecycle", {}).get("preStop", {})
        seconds = hook.get("sleep", {}).get("seconds", 0)
        grace = int(environment_of(workload)["POSTHOUSE_GRACE_SECONDS"])
        assert seconds + grace < pod_of(workload)["spec"]["terminationGracePeriodSeconds"]


def bad() -> Iterator[tuple[tuple[Any, ...], object, str]]:
    container = ("containers", 0)
    security = (*container, "securityContext")
    yield ("hostPID",), True, "hostPID"
    yield ("automountServiceAccountToken",), True, "has a token of Kubernetes"
    yield ("securityContext", "runAsUser"), 0, "may run as root, or as a user of the node"
    yield ("securityContext", "seccompProfile"), {}, "no seccomp profile"
    yield ("volumes", 0), {"hostPath": {"path": "/"}}, "a volume of the node"
    yield (*security, "privileged"), True, "may gain privileges"
    yield (*security, "readOnlyRootFilesystem"), False, "may write to its image"
    yield (*security, "capabilities"), {"add": ["NET_ADMIN"]}, "has capabilities"
    yield (*container, "resources", "limits"), {"cpu": "1"}, "resources without limits"
    yield (*container, "image"), "posthouse:latest", "an image without a version"
    secret = [{"name": "A", "valueFrom": {"secretKeyRef": {}}}]
    yield (*container, "env"), secret, "a secret as a variable"
    yield (*container, "ports", 0, "hostPort"), 25, "a port of the node"
    yield (*container, "readinessProbe"), {"exec": {}}, "no readinessProbe over HTTP"


@pytest.mark.parametrize(("path", "value", "finding"), list(bad()))
def test_a_broken_policy_is_found(path: tuple[Any, ...], value: object, finding: str) -> None:
    documents = render({})
    at: Any = named(documents, "Deployment", "posthouse-ingest")["spec"]["template"]["spec"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    assert [f"posthouse-ingest: {finding}"] == findings(documents)
