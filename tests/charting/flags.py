"""What values there are to try: each flag of the chart alone, and all of them."""

from collections.abc import Iterator
from typing import Any

from charting.rendering import Values, default_values

# A flag that makes no sense alone, with what it needs.
NEEDS: dict[str, dict[str, Any]] = {
    "relayDkim.existingSecret=dkim": {"relayDkim": {"domain": "relay.example"}},
    "tracking.ingress.enabled": {"tracking": {"ingress": {"hosts": ["t.relay.example"]}}},
    "console.ingress.enabled": {"console": {"ingress": {"hosts": ["console.relay.example"]}}},
    "autoscaling.dispatcher.enabled": {"dispatcher": {"pools": [{"name": "a"}, {"name": "b"}]}},
    "cloudnativePg.instances:0": {"cloudnativePg": {"enabled": True}},
    "traces.ratio:0": {"traces": {"endpoint": "http://collector:4318"}},
    "traces.ports:0": {"traces": {"endpoint": "http://collector:4318"}},
    "traces.peers:0": {"traces": {"endpoint": "http://collector:4318"}},
    "autoscaling.trigger=postgresql": {"autoscaling": {"policy": {"enabled": True}}},
}
# Beside the booleans of values.yaml: every choice, and what turns something on by its presence.
CHOICES: dict[str, tuple[Any, ...]] = {
    "image.digest": ("sha256:" + "0" * 64,),
    "image.pullPolicy": ("IfNotPresent",),
    "image.pullSecrets": (["registry"],),
    "nameOverride": ("mail",),
    "fullnameOverride": ("relay",),
    "commonLabels": ({"team": "mail"},),
    "settings": ({"POSTHOUSE_HOLD_BOUNCE_VOLUME": 1000000, "POSTHOUSE_HOLD_BOUNCE_PERCENT": 2.5},),
    "relayDkim.existingSecret": ("dkim",),
    "cloudnativePg.instances": (1,),
    "defaults.priorityClassName": ("mail",),
    "defaults.podAnnotations": ({"example.com/a": "b"},),
    "defaults.podLabels": ({"a": "b"},),
    "defaults.nodeSelector": ({"a": "b"},),
    "defaults.tolerations": ([{"key": "mail", "operator": "Exists"}],),
    "defaults.affinity": ({"podAntiAffinity": {}},),
    "defaults.extraEnv": ([{"name": "TZ", "value": "UTC"}],),
    "defaults.extraVolumes": ([{"name": "more", "emptyDir": {}}],),
    "defaults.extraVolumeMounts": ([{"name": "tmp", "mountPath": "/more"}],),
    "defaults.preStopSeconds": (10,),
    "ingest.proxyNetworks": (["10.0.0.0/8", "fd00::/8"],),
    "ingest.service.type": ("LoadBalancer", "NodePort"),
    "ingest.service.annotations": ({"example.com/a": "b"},),
    "bounces.proxyNetworks": (["10.0.0.0/8"],),
    "bounces.service.type": ("ClusterIP", "NodePort"),
    "bounces.service.externalTrafficPolicy": ("Cluster",),
    "bounces.service.loadBalancerClass": ("example.com/lb",),
    "bounces.service.loadBalancerSourceRanges": (["192.0.2.0/24"],),
    "dispatcher.pools": (
        [{"name": "default", "replicas": 3}],
        [
            {"name": "a", "hostname": "a.relay.example", "nodeSelector": {"address": "a"}},
            {"name": "b", "hostname": "b.relay.example", "podAnnotations": {"address": "b"}},
        ],
    ),
    "dispatcher.siteLimit": (20,),
    "dispatcher.routes": ("smarthost.example:587",),
    "dispatcher.routeSecrets.existingSecret": ("routes",),
    "dispatcher.egressPorts": ([25, 587],),
    "tracking.url": ("https://t.relay.example",),
    "tracking.proxyNetworks": (["10.0.0.0/8"],),
    "tracking.certificates.existingSecret": ("tracking-certificates",),
    "console.proxyNetworks": (["10.0.0.0/8"],),
    "console.tls.existingSecret": ("console-tls",),
    "migrate.annotations": ({"example.com/a": "b"},),
    "serviceAccount.name": ("mail",),
    "serviceAccount.annotations": ({"example.com/a": "b"},),
    "networkPolicy.databasePeers": ([{"ipBlock": {"cidr": "10.1.0.0/16"}}],),
    "networkPolicy.clients": ([{"podSelector": {}}],),
    "networkPolicy.metricsPeers": ([],),
    "traces.endpoint": ("http://collector.monitoring.svc:4318",),
    "traces.ratio": (0.01,),
    "traces.ports": ([443],),
    "traces.peers": ([{"podSelector": {"matchLabels": {"app": "collector"}}}],),
    "metrics.monitor": ("PodMonitor", "ServiceMonitor"),
    "autoscaling.trigger": ("postgresql",),
    "extraDeploy": (
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}},
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-text'}}",
        ],
    ),
}

SCALED = ("ingest", "policy", "webhooks", "tracking", "console", "dispatcher")
ALL: dict[str, Any] = {
    "cloudnativePg": {"enabled": True},
    "rabbitmqCluster": {"enabled": True},
    "relayDkim": {"existingSecret": "dkim", "domain": "relay.example"},
    "ingest": {
        "proxyNetworks": ["10.0.0.0/8"],
        "service": {"type": "LoadBalancer"},
        "listeners": {"smtp": {"enabled": True}, "https": {"enabled": True}},
    },
    "dispatcher": {
        "pools": [
            {
                "name": "a",
                "hostname": "a.relay.example",
                "sourceAddresses": ["192.0.2.1", "2001:db8::1"],
            },
            {"name": "b"},
            {"name": "c"},
        ],
        "siteLimit": 20,
        "hostNetwork": True,
        "routeSecrets": {"existingSecret": "routes"},
    },
    "tracking": {
        "url": "https://t.relay.example",
        "certificates": {"existingSecret": "certificates"},
        "ingress": {"enabled": True, "hosts": ["t.relay.example"], "tlsSecret": "t"},
    },
    "console": {"ingress": {"enabled": True, "hosts": ["console.relay.example"]}},
    "metrics": {
        "monitor": "ServiceMonitor",
        "rules": {"enabled": True},
        "dashboards": {"enabled": True},
    },
    "autoscaling": {
        "trigger": "postgresql",
        **{name: {"enabled": True} for name in SCALED},
    },
}
"""Everything at once; `migrate.hook` excludes a database of the release's own."""


def cases() -> dict[str, Values]:
    """The name of each case, and its values."""
    found: dict[str, Values] = {
        "defaults": {},
        "all": ALL,
        "all, with a hook": {**ALL, "cloudnativePg": {}, "migrate": {"hook": True}},
    }
    for path, value in booleans(default_values()):
        found[path] = _with(path, not value)
    for path, choices in CHOICES.items():
        for number, choice in enumerate(choices):
            found[f"{path}={choice}" if isinstance(choice, str) else f"{path}:{number}"] = _with(
                path, choice
            )
    return {name: _merged(values, NEEDS.get(name, {})) for name, values in found.items()}


def booleans(values: Values, above: str = "") -> Iterator[tuple[str, bool]]:
    """Each boolean of the values: its path and what it is."""
    for name, value in values.items():
        if isinstance(value, bool):
            yield above + name, value
        elif isinstance(value, dict):
            yield from booleans(value, f"{above}{name}.")


def _with(path: str, value: object) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def _merged(first: Values, second: Values) -> dict[str, Any]:
    found = dict(first)
    for name, value in second.items():
        below = found.get(name)
        both = isinstance(below, dict) and isinstance(value, dict)
        found[name] = _merged(below, value) if both and isinstance(below, dict) else value
    return found
