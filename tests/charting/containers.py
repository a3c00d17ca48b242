"""The rendered Pods for docker compose: the same commands, variables, mounts, users and probes.

Compose has no Secrets, Services and Pods: Secrets become folders, a Service a name and published
ports, a Pod one container. What it has no word for is left out: preStop, the spread over nodes,
NetworkPolicies.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charting.rendering import (
    Document,
    container_of,
    environment_of,
    of_kind,
    pod_of,
    selects,
    workloads,
)

Secrets = Mapping[str, Mapping[str, str]]
"""Name of the Secret, key, value."""

_PROBE = ["CMD", "python3", "-m", "posthouse.running.probe"]
_OCTETS = {"Mi": "m", "Gi": "g"}


def project(documents: list[Document], secrets: Secrets, folder: Path) -> dict[str, Any]:
    """The services of compose for what the chart rendered; Secrets are written below *folder*."""
    return {
        workload["metadata"]["name"]: _service(workload, documents, secrets, folder)
        for _, workload in workloads(documents)
    }


def _service(
    workload: Document, documents: list[Document], secrets: Secrets, folder: Path
) -> dict[str, Any]:
    pod, container = pod_of(workload)["spec"], container_of(workload)
    security = container["securityContext"]
    once = workload["kind"] == "Job"
    return {
        "image": container["image"],
        "pull_policy": "never",
        "command": container["args"],
        "environment": environment_of(workload),
        "user": "{runAsUser}:{runAsGroup}".format(**pod["securityContext"]),
        "read_only": security["readOnlyRootFilesystem"],
        "cap_drop": security["capabilities"]["drop"],
        "security_opt": [
            f"no-new-privileges:{str(not security['allowPrivilegeEscalation']).lower()}"
        ],
        "restart": "on-failure" if once else "always",
        "mem_limit": _octets(container["resources"]["limits"]["memory"]),
        "cpus": container["resources"]["limits"]["cpu"],
        "deploy": {"replicas": workload["spec"].get("replicas", 1)},
        **_mounts(pod, container, secrets, folder),
        **({} if once else _of_program(pod, container)),
        **_reached(workload, documents),
    }


def _octets(quantity: str) -> str:
    return re.sub(r"[A-Z]i$", lambda unit: _OCTETS[unit[0]], quantity)


def _of_program(pod: Document, container: Document) -> dict[str, Any]:
    ready, start = container["readinessProbe"], container["startupProbe"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = ready["httpGet"]
    return {
        "stop_grace_period": f"{pod['terminationGracePeriodSeconds']}s",
        "healthcheck": {
            "test": [*_PROBE, f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"],
            "interval": f"{ready['periodSeconds']}s",
            # Of a program in a container, where the cluster asks over HTTP: it has to start first.
            "timeout": "30s",
            "retries": ready["failureThreshold"],
            "start_period": f"{start['periodSeconds'] * start['failureThreshold']}s",
        },
    }


def _mounts(
    pod: Document, container: Document, secrets: Secrets, folder: Path
) -> dict[str, list[str]]:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    found: dict[str, list[str]] = {"tmpfs": [], "volumes": []}
    for mount in container["volumeMounts"]:
        volume, path = volumes[mount["name"]], mount["mountPath"]
        if "emptyDir" in volume:
            owner = pod["securityContext"]["fsGroup"]
            size = _octets(volume["emptyDir"]["sizeLimit"])
            found["tmpfs"].append(f"{path}:size={size},mode=2770,gid={owner}")
        else:
            source = _written(volume["secret"], secrets, folder)
            found["volumes"].append(f"{source}:{path}:ro")
    return found


def _written(volume: Document, secrets: Secrets, folder: Path) -> Path:
    """A folder with the files of a volume of the Secret, for whom fsGroup lets read them."""
    name = volume["secretName"]
    content = secrets[name]
    items = volume.get("items", [{"key": key, "path": key} for key in content])
    target = folder / "-".join([name, *(item["path"] for item in items)])
    target.mkdir(exist_ok=True)
    for item in items:
        file = target / item["path"]
        file.write_text(content[item["key"]])
        file.chmod(0o444)
    return target


def _reached(workload: Document, documents: list[Document]) -> dict[str, Any]:
    labels = pod_of(workload)["metadata"]["labels"]
    names, ports = [], []
    for service in of_kind(documents, "Service"):
        if workload["kind"] == "Job" or not selects(service["spec"]["selector"], labels):
            continue
        names.append(service["metadata"]["name"])
        targets = {p["name"]: p["containerPort"] for p in container_of(workload)["ports"]}
        ports += [f"127.0.0.1::{targets[p['targetPort']]}" for p in service["spec"]["ports"]]
    own = workload["metadata"]["name"]
    aliases = [name for name in names if name != own]
    return {"ports": ports, "networks": {"default": {"aliases": aliases}}}
