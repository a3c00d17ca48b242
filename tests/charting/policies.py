"""What every workload has to keep: the "restricted" Pod Security Standard, and more.

Where Checkov has the same rule, its id stands beside it; `make chart` runs Checkov itself.
"""

from collections.abc import Iterator

from charting.rendering import Document, container_of, of_kind, pod_of, selects, workloads

_LEAST_USER = 10_000
_NODE = ("hostNetwork", "hostPID", "hostIPC")


def findings(documents: list[Document]) -> list[str]:
    """Each rule that is broken, and by what; the option dispatcher.hostNetwork breaks one."""
    found = [
        f"{workload['metadata']['name']}: {text}"
        for component, workload in workloads(documents)
        for text in _of_workload(component, workload, documents)
    ]
    found += [
        f"{d['kind']} {d['metadata']['name']}: no namespace"  # CKV_K8S_21
        for d in documents
        if d["metadata"].get("namespace") != "mail" and d["kind"] != "ConfigMap"
    ]
    return found


def _of_workload(component: str, workload: Document, documents: list[Document]) -> Iterator[str]:
    pod, container = pod_of(workload), container_of(workload)
    yield from _of_pod(pod["spec"])
    yield from _of_container(container)
    if component != "migrate":
        yield from _of_service(container)
    labels = pod["metadata"]["labels"]
    policies = of_kind(documents, "NetworkPolicy")
    denied = (
        p["spec"]["policyTypes"] == ["Ingress", "Egress"]
        and not set(p["spec"]) & {"ingress", "egress"}
        for p in policies
        if selects(p["spec"]["podSelector"], labels)
    )
    if not any(denied):  # CKV2_K8S_6
        yield "no NetworkPolicy denies all"


def _of_pod(spec: Document) -> Iterator[str]:
    for name in _NODE:  # CKV_K8S_17, 18, 19
        if spec.get(name):
            yield name
    if spec.get("automountServiceAccountToken") is not False:  # CKV_K8S_38
        yield "has a token of Kubernetes"
    security = spec["securityContext"]
    if not (security.get("runAsNonRoot") and security.get("runAsUser", 0) >= _LEAST_USER):
        yield "may run as root, or as a user of the node"  # CKV_K8S_6, 40
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:  # CKV_K8S_31
        yield "no seccomp profile"
    for volume in spec.get("volumes", ()):
        if "hostPath" in volume:
            yield "a volume of the node"


def _of_container(container: Document) -> Iterator[str]:
    security = container["securityContext"]
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"  # CKV_K8S_16, 20
    if not security.get("readOnlyRootFilesystem"):  # CKV_K8S_22
        yield "may write to its image"
    if security.get("capabilities") != {"drop": ["ALL"]}:  # CKV_K8S_25, 28, 37
        yield "has capabilities"
    for which in ("requests", "limits"):  # CKV_K8S_10, 11, 12, 13
        if set(container["resources"].get(which, ())) != {"cpu", "memory"}:
            yield f"resources without {which}"
    yield from _of_what_is_in_it(container)


def _of_what_is_in_it(container: Document) -> Iterator[str]:
    _, _, tag = container["image"].partition(":")
    if not tag or tag == "latest":  # CKV_K8S_14
        yield "an image without a version"
    for variable in container.get("env", ()):  # CKV_K8S_35
        if "secretKeyRef" in variable.get("valueFrom", ()):
            yield "a secret as a variable"
    for port in container.get("ports", ()):
        if "hostPort" in port:  # CKV_K8S_26
            yield "a port of the node"


def _of_service(container: Document) -> Iterator[str]:
    for probe, path in (
        ("startupProbe", "/healthz/live"),
        ("livenessProbe", "/healthz/live"),  # CKV_K8S_8
        ("readinessProbe", "/healthz/ready"),  # CKV_K8S_9
    ):
        if container.get(probe, {}).get("httpGet") != {"path": path, "port": "health"}:
            yield f"no {probe} over HTTP"
