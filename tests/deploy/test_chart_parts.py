"""What is particular to single parts of the chart."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import asyncpg
import helm_python
import pytest
import yaml

from charting.kustomize import BASE, base
from charting.rendering import (
    CHART,
    ROOT,
    Document,
    container_of,
    environment_of,
    named,
    of_kind,
    pod_of,
    render,
    render_text,
    schema,
    selects,
    workloads,
)
from charting.validation import mistakes
from command.cli import posthouse

TWO_POOLS = {
    "pools": [
        {"name": "a", "hostname": "a.relay.example", "nodeSelector": {"address": "192.0.2.1"}},
        {"name": "b", "hostname": "b.relay.example", "settings": {"POSTHOUSE_SITE_LIMIT": 3}},
    ]
}


# The values

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ingest": {"replica": 3}}, "at '/ingest': additional properties 'replica' not allowed"),
    ({"hostname": "Relay.example"}, "at '/hostname': 'Relay.example' does not match pattern"),
    ({"hostname": ""}, "at '/hostname'"),
    ({"ingest": {"replicas": "two"}}, "at '/ingest/replicas': got string, want integer"),
    (
        {"ingest": {"listeners": {"smtp": {"mode": "tls"}}}},
        "at '/ingest/listeners/smtp/mode': value must be one of 'none', 'opportunistic'",
    ),
    (
        {"ingest": {"listeners": {"submission": {"containerPort": 587}}}},
        "at '/ingest/listeners/submission/containerPort': minimum: got 587, want 1,024",
    ),
    ({"ingest": {"proxyNetworks": ["10.0.0.1"]}}, "at '/ingest/proxyNetworks/0'"),
    (
        {"settings": {"POSTHOUSE_DATABASE_URL": "postgresql://u:p@h/d"}},
        "value must be '(name its Secret elsewhere in the values)'",
    ),
    ({"policy": {"settings": {"LOG_LEVEL": "info"}}}, "'LOG_LEVEL' does not match pattern"),
    ({"image": {"digest": "sha256:12"}}, "at '/image/digest'"),
    ({"externalDatabase": {"existingSecret": ""}}, "at '/externalDatabase/existingSecret'"),
    ({"dispatcher": {"replicas": 3}}, "at '/dispatcher': additional properties 'replicas'"),
    ({"dispatcher": {"pools": []}}, "at '/dispatcher/pools': minItems: got 0, want 1"),
    ({"dispatcher": {"pools": [{"hostname": "a.example"}]}}, "missing property 'name'"),
    ({"console": {"ingress": {"enabled": True}}}, "at '/console/ingress/hosts': minItems"),
    ({"relayDkim": {"existingSecret": "dkim"}}, "at '/relayDkim/domain': minLength"),
    ({"cloudnativePg": {"storage": {"size": "50ki"}}}, "at '/cloudnativePg/storage/size'"),
    ({"metrics": {"monitor": "both"}}, "must be one of 'none', 'PodMonitor', 'ServiceMonitor'"),
    # What no schema can say:
    (
        {"dispatcher": {"pools": [{"name": "a", "replicas": 4}], "siteLimit": 3}},
        "dispatcher.siteLimit is 3, fewer than the 4 dispatchers that share it",
    ),
    (
        {"dispatcher": {"pools": [{"name": "a", "sourceAddresses": ["192.0.2.1"]}]}},
        'sourceAddresses of "a" are the node\'s: they need dispatcher.hostNetwork',
    ),
    (
        {"cloudnativePg": {"enabled": True}, "migrate": {"hook": True}},
        "migrate.hook needs a database that is there before the release",
    ),
    (
        {"autoscaling": {"dispatcher": {"enabled": True}}},
        "autoscaling.dispatcher starts further pools: dispatcher.pools has only one",
    ),
    (
        {
            "autoscaling": {"dispatcher": {"enabled": True}},
            "dispatcher": {"pools": [{"name": "a"}, {"name": "b", "replicas": 2}]},
        },
        'pool "b" must have one replica',
    ),
    (
        {"dispatcher": {"pools": [{"name": "a"}, {"name": "a"}]}},
        'dispatcher.pools has two of the name "a"',
    ),
]


@pytest.mark.parametrize(("values", "text"), WRONG, ids=[text for _, text in WRONG])
def test_wrong_values_are_refused_and_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        render(values)
    assert text in str(refused.value)


def test_no_misspelt_value_is_taken_anywhere() -> None:
    open_ones = [
        path for path, value in _objects(schema(), "") if "additionalProperties" not in value
    ]
    # Parts of Kubernetes' own schema, and what Helm itself puts there.
    assert {"items", "object", "global", "ipBlock", "namespaceSelector", "podSelector"} >= {
        path.rpartition("/")[2] for path in open_ones
    }


def _objects(value: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return []
    own = [(path, value)] if value.get("type") == "object" else []
    return own + [x for name, below in value.items() for x in _objects(below, f"{path}/{name}")]


def test_helm_has_nothing_to_say_but_that_there_is_no_icon() -> None:
    report = helm_python.lint(CHART, strict=True)
    assert ["icon is recommended"] == [m["error"] for m in report["messages"]]


def test_whole_numbers_stay_whole_numbers() -> None:
    documents = render({"settings": {"POSTHOUSE_HOLD_BOUNCE_VOLUME": 1000000}})
    bounces = named(documents, "Deployment", "posthouse-bounces")
    assert environment_of(bounces)["POSTHOUSE_HOLD_BOUNCE_VOLUME"] == "1000000"


def test_notes_say_three_commands_that_there_are() -> None:
    notes = render_text({})["NOTES.txt"]
    assert re.findall(r"^(\d)\. ", notes, re.MULTILINE) == ["1", "2", "3"]
    for line in re.findall(r" -- posthouse (.+)$", notes, re.MULTILINE):
        words = line.split()
        command = posthouse
        while words and hasattr(command, "get_command") and not words[0].startswith("-"):
            command = command.get_command(None, words.pop(0))  # type: ignore[arg-type, assignment]
        options = {name for p in command.params for name in p.opts}
        assert {word for word in words if word.startswith("--")} <= options
    assert "is an example" in notes
    assert "is an example" not in render_text({"hostname": "relay.example.com"})["NOTES.txt"]


# Programs


def test_migrate_is_a_job_of_its_revision_and_a_hook_only_on_demand() -> None:
    assert [
        "posthouse-migrate-7" == d["metadata"]["name"] and "annotations" not in d["metadata"]
        for d in of_kind(render({}, revision=7), "Job")
    ] == [True]
    (job,) = of_kind(render({"migrate": {"hook": True}}), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # The ServiceAccount of the release is not there yet.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]


def test_a_pool_of_dispatchers_has_a_name_and_a_place_of_its_own() -> None:
    documents = render({"dispatcher": TWO_POOLS})
    a, b = (named(documents, "StatefulSet", f"posthouse-dispatcher-{p}") for p in "ab")
    assert environment_of(a)["POSTHOUSE_HOSTNAME"] == "a.relay.example"
    assert pod_of(a)["spec"]["nodeSelector"] == {"address": "192.0.2.1"}
    assert environment_of(b)["POSTHOUSE_HOSTNAME"] == "b.relay.example"
    assert environment_of(b)["POSTHOUSE_SITE_LIMIT"] == "3"
    assert pod_of(b)["metadata"]["labels"]["pool"] == "b"


def test_a_pool_in_the_network_of_its_node_leaves_from_the_addresses_that_it_names() -> None:
    addresses = ["192.0.2.1", "2001:db8::1"]
    pool = {"name": "a", "sourceAddresses": addresses}
    documents = render({"dispatcher": {"hostNetwork": True, "pools": [pool]}})
    (found,) = of_kind(documents, "StatefulSet")
    assert pod_of(found)["spec"]["hostNetwork"] is True
    assert environment_of(found)["POSTHOUSE_SOURCE_ADDRESSES"] == ",".join(addresses)


@pytest.mark.parametrize(
    ("limit", "pools", "each"), [(20, (1,), 20), (20, (1, 2), 6), (3, (3,), 1)]
)
def test_dispatchers_share_the_limit_of_a_site(
    limit: int, pools: tuple[int, ...], each: int
) -> None:
    given = [{"name": f"p{n}", "replicas": replicas} for n, replicas in enumerate(pools)]
    documents = render({"dispatcher": {"pools": given, "siteLimit": limit}})
    found = [environment_of(d)["POSTHOUSE_SITE_LIMIT"] for d in of_kind(documents, "StatefulSet")]
    assert [str(each)] * len(pools) == found
    assert each * sum(pools) <= limit


def test_listeners_behind_proxies_say_so_and_their_clients_keep_their_address() -> None:
    values = {"ingest": {"proxyNetworks": ["10.0.0.0/8"], "service": {"type": "LoadBalancer"}}}
    documents = render(values)
    listeners = environment_of(named(documents, "Deployment", "posthouse-ingest"))[
        "POSTHOUSE_INGEST_LISTENERS"
    ]
    assert listeners == (
        "0.0.0.0:2587/starttls_required+proxy=10.0.0.0/8,0.0.0.0:2465/implicit+proxy=10.0.0.0/8"
    )
    bounces = render({"bounces": {"proxyNetworks": ["10.0.0.0/8", "fd00::/8"]}})
    variables = environment_of(named(bounces, "Deployment", "posthouse-bounces"))
    assert variables["POSTHOUSE_BOUNCES_PROXIES"] == "10.0.0.0/8,fd00::/8"
    for name in ("ingest", "bounces"):
        service = named(documents, "Service", f"posthouse-{name}")
        assert service["spec"]["externalTrafficPolicy"] == "Local"


def test_with_the_operators_their_secrets_are_read() -> None:
    documents = render({"cloudnativePg": {"enabled": True}, "rabbitmqCluster": {"enabled": True}})
    for _, workload in workloads(documents):
        volumes = {v["name"]: v.get("secret") for v in pod_of(workload)["spec"]["volumes"]}
        assert volumes["database"]["secretName"] == "posthouse-database-app"
        assert volumes["database"]["items"] == [{"key": "uri", "path": "value"}]
        assert volumes["broker"]["secretName"] == "posthouse-rabbitmq-default-user"
        assert volumes["broker"]["items"] == [{"key": "connection_string", "path": "value"}]
    cluster = named(documents, "RabbitmqCluster", "posthouse-rabbitmq")
    for path in (ROOT / "deploy/rabbitmq").glob("*.conf"):
        assert path.read_text().strip() in cluster["spec"]["rabbitmq"]["additionalConfig"]


def test_operators_get_quantities_as_text() -> None:
    values = {
        "enabled": True,
        "storage": {"size": 53687091200},
        "resources": {"requests": {"cpu": 0.5, "memory": "524288Ki"}, "limits": {}},
    }
    documents = render({"cloudnativePg": values, "rabbitmqCluster": values})
    assert [] == [text for document in documents for text in mistakes(document)]
    database = named(documents, "Cluster", "posthouse-database")["spec"]
    broker = named(documents, "RabbitmqCluster", "posthouse-rabbitmq")["spec"]
    assert float(database["storage"]["size"]) == float(broker["persistence"]["storage"]) == 50 << 30
    assert database["resources"]["requests"] == {"cpu": "0.5", "memory": "524288Ki"}
    assert broker["resources"]["requests"] == {"cpu": "0.5", "memory": "524288Ki"}


# Networks


def egress(documents: list[Document], component: str) -> set[tuple[int | str, bool]]:
    """Ports that a program may reach, and whether within private networks too."""
    labels = next(
        pod_of(w)["metadata"]["labels"] for c, w in workloads(documents) if c == component
    )
    return {
        (port["port"], not any("except" in p.get("ipBlock", {}) for p in rule.get("to", ())))
        for policy in of_kind(documents, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", ())
        for port in rule["ports"]
    }


def test_only_dispatchers_send_mail_and_only_two_programs_call_out() -> None:
    documents = render({})
    platform = {(53, True), (5432, True), (5671, True), (5672, True)}
    for component, _ in workloads(documents):
        more: set[tuple[int | str, bool]] = set()
        if component == "dispatcher":
            more = {(25, True)}
        elif component in {"webhooks", "tracking"}:
            more = {(80, False), (443, False)}
        assert platform | more == egress(documents, component), component


# Metrics and scaling


def queries(values: dict[str, Any]) -> dict[str, list[str]]:
    """The queries of each ScaledObject."""
    return {
        d["metadata"]["name"]: [t["metadata"]["query"] for t in d["spec"]["triggers"]]
        for d in of_kind(render(values), "ScaledObject")
    }


SCALING = {n: {"enabled": True} for n in ("ingest", "policy", "webhooks", "dispatcher")}
SCALED = {"dispatcher": TWO_POOLS, "autoscaling": SCALING}
BY_SQL = {"dispatcher": TWO_POOLS, "autoscaling": {**SCALING, "trigger": "postgresql"}}


def test_scaling_asks_for_metrics_that_there_are() -> None:
    documented = (ROOT / "docs/metrics.md").read_text()
    asked = [query for found in queries(SCALED).values() for query in found]
    assert len(asked) == 6
    for query in asked:
        (metric,) = re.findall(r"posthouse_\w+", query)
        assert f"| `{metric}` |" in documented
        assert 'namespace="mail"' in query
        assert "deferred" not in query


def test_dispatchers_are_never_more_than_their_addresses() -> None:
    scaled = {d["metadata"]["name"]: d["spec"] for d in of_kind(render(SCALED), "ScaledObject")}
    assert "posthouse-dispatcher-a" not in scaled, "the first pool always runs"
    second = scaled["posthouse-dispatcher-b"]
    assert (0, 1) == (second["minReplicaCount"], second["maxReplicaCount"])
    assert second["triggers"][0]["metadata"]["activationThreshold"] == "20000"


def test_who_answers_over_http_is_scaled_by_the_cpu_that_it_uses() -> None:
    values = {n: {"enabled": True, "maxReplicas": 9} for n in ("tracking", "console")}
    scalers = of_kind(render({"autoscaling": values}), "HorizontalPodAutoscaler")
    assert ["posthouse-tracking", "posthouse-console"] == [d["metadata"]["name"] for d in scalers]
    for scaler in scalers:
        target = {"type": "Utilization", "averageUtilization": 500}
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
        spec = scaler["spec"]
        assert (2, 9, [metric]) == (spec["minReplicas"], spec["maxReplicas"], spec["metrics"])
    assert [] == of_kind(render({}), "HorizontalPodAutoscaler")


async def test_scaling_by_sql_counts_what_could_be_done_now(database: str) -> None:
    connection = await asyncpg.connect(database)
    found = queries(BY_SQL)
    age, backlog = found["posthouse-policy"]
    (ready,) = found["posthouse-dispatcher-b"]
    for query in (backlog, age, ready, *found["posthouse-webhooks"]):
        assert await connection.fetchval(query) == 0
    for table in ("due_submissions", "due_deliveries"):
        await connection.execute(
            f"INSERT INTO {table} (id, account_id, lane, size, received_at, expires_at, due_at,"  # noqa: S608
            " held)"
            " SELECT gen_random_uuid(), gen_random_uuid(), lane, 1, now(), now() + '1d',"
            " now() + due, held FROM (VALUES (1, '-9s'::interval, false), (5, '-1s', false),"
            " (3, '1h', false), (2, '-1h', true)) AS rows (lane, due, held)"
        )
    await connection.execute("UPDATE due_deliveries SET parked_at = 'a site' WHERE lane = 5")
    assert await connection.fetchval(backlog) == 2
    assert 9 <= await connection.fetchval(age) < 3600
    assert await connection.fetchval(ready) == 1
    await connection.close()


# Files


def test_the_package_has_the_files_that_lie_elsewhere_in_the_repository(tmp_path: Path) -> None:
    packed = helm_python.package(CHART, destination=tmp_path)
    with tarfile.open(packed) as archive:
        members = {m.name.removeprefix("posthouse/"): m for m in archive.getmembers()}
        assert len(_linked()) >= 4
        for path in _linked():
            member = members[str(path.relative_to(CHART))]
            content = archive.extractfile(member)
            assert content is not None
            assert path.read_bytes() == content.read()


def _linked() -> list[Path]:
    return [file for folder in (CHART / "files").iterdir() for file in folder.iterdir()]


def test_the_rules_for_prometheus_are_those_of_the_repository() -> None:
    runbooks = "https://example.com/runbooks/"
    documents = render({"metrics": {"rules": {"enabled": True, "runbooks": runbooks}}})
    found = {d["metadata"]["name"]: d["spec"] for d in of_kind(documents, "PrometheusRule")}
    for name in ("alerts", "recording"):
        text = (ROOT / f"deploy/prometheus/rules/{name}.yml").read_text()
        ours = yaml.safe_load(text.replace("docs/runbooks/", runbooks))
        assert ours == found.pop(f"posthouse-{name}")
    assert found == {}


def test_the_dashboards_are_those_of_the_repository() -> None:
    documents = render({"metrics": {"dashboards": {"enabled": True, "labels": {"a": "b"}}}})
    found = [d for d in of_kind(documents, "ConfigMap") if d["metadata"]["labels"].get("a") == "b"]
    given = {name: json.loads(text) for d in found for name, text in d["data"].items()}
    ours = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    assert {path.name: json.loads(path.read_text()) for path in ours} == given
    assert len(given) >= 5
    assert all(len(json.dumps(d)) < 1 << 20 for d in found), "more than a ConfigMap holds"


def test_a_release_fits_into_its_secret(tmp_path: Path) -> None:
    packed = Path(helm_python.package(CHART, destination=tmp_path))
    # Helm keeps chart and rendering, packed and in base64, in one Secret of a megabyte.
    assert packed.stat().st_size < 256 << 10


def test_targets_are_named_as_the_rules_name_them() -> None:
    (absent,) = re.findall(
        r'job=~"([^"]+)"', (ROOT / "deploy/prometheus/rules/alerts.yml").read_text()
    )
    for monitor, key in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        (found,) = of_kind(render({"metrics": {"monitor": monitor}}), monitor)
        (endpoint,) = found["spec"][key]
        labels = {r["targetLabel"]: r.get("replacement") for r in endpoint["relabelings"]}
        assert re.fullmatch(absent, labels["job"])


def test_the_kustomize_base_is_what_the_chart_renders() -> None:
    assert base() == BASE.read_text(), "write it again: make manifests"


def test_the_example_of_kustomize_names_what_is_in_the_base() -> None:
    containers = {container_of(w)["name"] for _, w in workloads(render({}))}
    example = (ROOT / "deploy/kubernetes/example/hostname.yaml").read_text()
    assert containers == {"posthouse"}
    assert "name: posthouse" in example
    assert all("POSTHOUSE_HOSTNAME" in environment_of(w) for _, w in workloads(render({})))
