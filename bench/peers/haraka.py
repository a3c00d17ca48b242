"""Haraka with haraka-plugin-dkim, on two nodes: one for each core of the comparison.

A few lines of a plugin make it a relay: any client may send to any recipient, and all goes to the
sink. The rest is as in the npm package, except that its log goes to a file.
"""

import json
import shutil

from bench.peers.peer import SELECTOR, Peer
from bench.peers.unpacked import PEERS, ask
from bench.systems import DOMAIN, NotMeasured

_NODES = 2
_HARAKA, _DKIM = "3.3.4", "1.3.1"
_NEEDS_NODE = 20
_PACKAGE = {
    "private": True,
    "dependencies": {"Haraka": _HARAKA, "haraka-plugin-dkim": _DKIM},
    # Dependencies that they name by a range, at fixed versions.
    "overrides": {"encoding-japanese": "2.4.0", "libqp": "2.1.1", "libmime": "5.4.3"},
}
_FILES = {
    "config/smtp.ini": "listen=127.0.0.1:{port}\nnodes={nodes}\n",
    "config/me": "relay.{domain}\n",
    "config/plugins": "dkim\nto_sink\n",
    "config/outbound.ini": "[main]\nenable_tls=false\nlocal_mx_ok=true\n",
    "config/log.ini": "[main]\nlevel=info\ntimestamps=true\nformat=default\n",
    "config/dkim.ini": "[sign]\nenabled=true\n[verify]\nenabled=false\n[canon]\nbody=relaxed\n",
    "plugins/to_sink.js": """\
'use strict'
exports.hook_connect = (next, connection) => {{
    connection.relaying = true
    next()
}}
exports.hook_rcpt = (next) => next(OK)
exports.hook_get_mx = (next) => next(OK, {{priority: 0, exchange: '127.0.0.1', port: {sink}}})
""",
}


class Haraka(Peer):
    """Haraka and its DKIM plugin."""

    name = "haraka"
    title = f"Haraka + DKIM, {_NODES} nodes"
    about_per_second = 440.0

    def install(self) -> str:
        """See Peer."""
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise NotMeasured(f"{program} is missing")
        node = ask(["node", "--version"]).strip()
        if int(node[1:].partition(".")[0]) < _NEEDS_NODE:
            raise NotMeasured(f"it needs Node {_NEEDS_NODE}, and this is {node}")
        self._installed = PEERS / f"{self.name}-{_HARAKA}-{_DKIM}"
        if not (self._installed / "node_modules").exists():
            self._installed.mkdir(parents=True, exist_ok=True)
            (self._installed / "package.json").write_text(json.dumps(_PACKAGE))
            options = ["--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts"]
            ask(["npm", "install", *options], self._installed)
        return f"Haraka {_HARAKA}, haraka-plugin-dkim {_DKIM}, Node {node[1:]}"

    def configure(self) -> None:
        """See Peer."""
        self.values["nodes"] = str(_NODES)
        for name, text in _FILES.items():
            self.write(name, text)
        keys = self.folder / "config" / "dkim" / DOMAIN
        keys.mkdir(parents=True)
        shutil.copy(self.key, keys / "private")
        (keys / "selector").write_text(SELECTOR)
        # Some of its settings have no default without the file that npm installs.
        defaults = self._installed / "node_modules" / "Haraka" / "config" / "connection.ini"
        shutil.copy(defaults, self.folder / "config")
        (self.folder / "queue").mkdir()
        (self.folder / "node_modules").symlink_to(self._installed / "node_modules")

    async def start(self) -> None:
        """See System."""
        program = self._installed / "node_modules" / "Haraka" / "bin" / "haraka"
        await self.launch("haraka", ["node", str(program), "-c", str(self.folder)], self.listens)
