"""Prometheus Alertmanager, which has SMTP code of its own."""

import json
from email import message_from_bytes, policy

from integrations.mta import Mta
from integrations.needed import CLIENTS
from integrations.unpacked import layer_of
from integrations.world import MARKS, World
from servers.patience import eventually
from servers.ports import lasting_ports

pytestmark = MARKS


async def test_alertmanager(world: World) -> None:
    layer = layer_of("alertmanager", ("prometheus-alertmanager",), {})
    settings = world.put(CLIENTS / "alertmanager.yml")
    (port,) = lasting_ports(1)
    daemon = (
        f"exec prometheus-alertmanager --config.file={settings} --storage.path={world.folder}/state"
        f" --web.listen-address=127.0.0.1:{port} --cluster.listen-address="
    )
    alert = {"labels": {"alertname": "DiskFull", "instance": "db1"}}
    post = ["curl", "-sf", "--json", json.dumps([alert]), f"http://127.0.0.1:{port}/api/v2/alerts"]

    async with Mta(world, layer, "", daemon).running():

        async def taken() -> bool:
            return (await world.run(post)).status == 0

        await eventually(taken)
        arrival = await world.arrival()

    message = message_from_bytes(arrival.content, policy=policy.default)
    assert "alerts@example.com" in message["From"]
    assert "DiskFull" in message["Subject"]
