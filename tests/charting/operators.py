"""Schemas of the fields that we use in resources of other people's operators.

Short on purpose, and closed: a field that is not written here is a mistake until somebody has
looked it up. Names, types and enumerations are those of the operators' definitions: Prometheus
Operator 0.93.0, KEDA 2.20.2 (metadata of triggers: its scalers' sources), CloudNativePG 1.25.0,
1.27.0 and 1.30.0, RabbitMQ Cluster Operator 2.11.0 and 2.22.3. We are stricter in what is required
and in least values: several would take an object that then does nothing, or less than is meant.
"""

from typing import Any


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_NUMBER_AS_TEXT = {"type": "string", "pattern": "^[0-9]+$"}
# KEDA refuses 0 as the target of a query to PostgreSQL; asked of Prometheus it means no more.
_TARGET_AS_TEXT = {"type": "string", "pattern": "^[1-9][0-9]*$"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_UNITS = "".join(f"([0-9]+{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
_DURATION = {"type": "string", "minLength": 1, "pattern": f"^(0|{_UNITS})$"}
_NUMBER, _SUFFIX = r"([0-9]+([.][0-9]*)?|[.][0-9]+)", "([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?"
_QUANTITY_AS_TEXT = {"type": "string", "pattern": f"^{_NUMBER}{_SUFFIX}$"}
_QUANTITY = {**_QUANTITY_AS_TEXT, "type": ["string", "integer"]}
_QUANTITIES = {"type": "object", "additionalProperties": _QUANTITY}
_SELECTOR = _closed({"matchLabels": _TEXTS}, "matchLabels")
_RESOURCES = _closed({"requests": _QUANTITIES, "limits": _QUANTITIES})

_ENDPOINT = _closed(
    {
        "port": _TEXT,
        "path": {"type": "string", "pattern": "^/"},
        "interval": _DURATION,
        "relabelings": {
            "type": "array",
            "items": _closed(
                {
                    "sourceLabels": {"type": "array", "items": _TEXT},
                    "targetLabel": _TEXT,
                    "replacement": _TEXT,
                },
                "targetLabel",
            ),
        },
    },
    "port",
)
_RULE = {
    **_closed(
        {
            "alert": _TEXT,
            "record": _TEXT,
            "expr": {"type": ["string", "integer"]},
            "for": _DURATION,
            "keep_firing_for": _DURATION,
            "labels": _TEXTS,
            "annotations": _TEXTS,
        },
        "expr",
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
_GROUP = _closed(
    {"name": _TEXT, "interval": _DURATION, "rules": {"type": "array", "items": _RULE}},
    "name",
    "rules",
)
_PROMETHEUS_TRIGGER = _closed(
    {
        "type": {"const": "prometheus"},
        "metadata": _closed(
            {
                "serverAddress": {"type": "string", "pattern": "^https?://"},
                "query": _TEXT,
                "threshold": _TARGET_AS_TEXT,
                "activationThreshold": _NUMBER_AS_TEXT,
            },
            "serverAddress",
            "query",
            "threshold",
        ),
    },
    "type",
    "metadata",
)
_POSTGRESQL_TRIGGER = _closed(
    {
        "type": {"const": "postgresql"},
        "metadata": _closed(
            {
                "query": _TEXT,
                "targetQueryValue": _TARGET_AS_TEXT,
                "activationTargetQueryValue": _NUMBER_AS_TEXT,
            },
            "query",
            "targetQueryValue",
        ),
        "authenticationRef": _closed({"name": _TEXT}, "name"),
    },
    "type",
    "metadata",
    "authenticationRef",
)

SPECS: dict[tuple[str, str], dict[str, Any]] = {
    ("monitoring.coreos.com/v1", "PodMonitor"): _closed(
        {
            "podTargetLabels": {"type": "array", "items": _TEXT},
            "podMetricsEndpoints": {"type": "array", "minItems": 1, "items": _ENDPOINT},
            "selector": _SELECTOR,
        },
        "podMetricsEndpoints",
        "selector",
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _closed(
        {
            "endpoints": {"type": "array", "minItems": 1, "items": _ENDPOINT},
            "selector": _SELECTOR,
        },
        "endpoints",
        "selector",
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _closed(
        {"groups": {"type": "array", "minItems": 1, "items": _GROUP}}, "groups"
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): _closed(
        {
            "scaleTargetRef": _closed(
                {"kind": {"enum": ["Deployment", "StatefulSet"]}, "name": _TEXT}, "name"
            ),
            "minReplicaCount": {"type": "integer", "minimum": 0},
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "pollingInterval": {"type": "integer", "minimum": 1},
            "cooldownPeriod": {"type": "integer", "minimum": 0},
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [_PROMETHEUS_TRIGGER, _POSTGRESQL_TRIGGER]},
            },
        },
        "scaleTargetRef",
        "triggers",
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): _closed(
        {
            "secretTargetRef": {
                "type": "array",
                "items": _closed(
                    {"parameter": _TEXT, "name": _TEXT, "key": _TEXT}, "parameter", "name", "key"
                ),
            }
        },
        "secretTargetRef",
    ),
    ("postgresql.cnpg.io/v1", "Cluster"): _closed(
        {
            "instances": {"type": "integer", "minimum": 1},
            "storage": _closed({"size": _QUANTITY_AS_TEXT, "storageClass": _TEXT}, "size"),
            "resources": _RESOURCES,
            "bootstrap": _closed(
                {"initdb": _closed({"database": _TEXT, "owner": _TEXT}, "database", "owner")}
            ),
            "postgresql": _closed(
                {
                    "parameters": _TEXTS,
                    "synchronous": _closed(
                        {
                            "method": {"enum": ["any", "first"]},
                            "number": {"type": "integer", "minimum": 1},
                            "dataDurability": {"enum": ["required", "preferred"]},
                        },
                        "method",
                        "number",
                    ),
                }
            ),
            "env": {"type": "array", "items": _closed({"name": _TEXT, "value": _TEXT}, "name")},
        },
        "instances",
        "storage",
    ),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): _closed(
        {
            "replicas": {"type": "integer", "minimum": 1},
            "persistence": _closed({"storage": _QUANTITY, "storageClassName": _TEXT}),
            "resources": _RESOURCES,
            "rabbitmq": _closed({"additionalConfig": _TEXT}),
        },
        "replicas",
    ),
}
