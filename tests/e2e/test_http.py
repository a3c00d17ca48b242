"""Mail that is submitted by HTTP to the relay as it runs, with its real database."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from servers.patience import on_this_machine
from servers.whole_relay import ANY, Operator, running

MESSAGE = {"from": "Jö <a@x.example>", "to": "ann@dest.example", "subject": "Grüße", "text": "Hi"}
Call = Callable[..., tuple[int, Any]]


def caller(port: int, key: str) -> Call:
    def call(method: str, path: str, value: Any = None, **fields: str) -> tuple[int, Any]:
        given = {name.replace("_", "-"): text for name, text in fields.items()}
        body = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            body,
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **given},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=on_this_machine(30)) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    return call


def test_C07_mail_goes_out_that_came_in_by_http(tmp_path: Path) -> None:
    """As JSON and as it is; once under a key; and never what was cancelled before its time."""
    tmp_path.chmod(0o711)
    data = tmp_path / "data"
    with running("sink", "--listen", ANY, "--report", ANY) as sink:
        to = f"{sink['smtp']['host']}:{sink['smtp']['port']}"
        with running(
            *("up", "--data", str(data), "--route", to),
            *("--listen", f"{ANY}/none", "--listen", f"{ANY}/http"),
            *("--bounce-listen", ANY, "--health-listen", ANY),
            *("--tracking-listen", ANY, "--console-listen", ANY),
        ) as ready:
            smtp, http = ready["submission"]
            assert http["tls"] == "http"
            operator = Operator(data, smtp["port"])
            made = json.loads(operator("credential", "create", "--json", "--permission", "http"))
            call = caller(http["port"], f"{made['username']}.{made['secret']}")

            status, found = call("POST", "/v1/messages", MESSAGE, Idempotency_Key="k")
            assert (status, found["repeated"]) == (202, False)
            again = call("POST", "/v1/messages", MESSAGE, Idempotency_Key="k")
            assert again == (202, {**found, "repeated": True})
            assert "  delivered  " in operator.story_of(found["id"])
            status, told = call("GET", f"/v1/messages/{found['id']}")
            assert (status, told["from"]) == (200, "a@x.example")
            kinds = [one["kind"] for one in told["events"]]
            assert sorted(kinds) == ["accepted", "delivered", "prepared", "resubmitted"]
            assert told["events"][kinds.index("delivered")]["recipient"] == "ann@dest.example"
            assert told["events"][kinds.index("delivered")]["reply"].startswith("250 ")

            raw = b"From: a@x.example\nTo: bo@dest.example\n\nas it is\n"
            status, found = call("POST", "/v1/messages", raw, Content_Type="message/rfc822")
            assert status == 202
            assert "  delivered  " in operator.story_of(found["id"])

            later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
            status, found = call("POST", "/v1/messages", {**MESSAGE, "send_at": later})
            assert status == 202
            assert call("POST", f"/v1/messages/{found['id']}/cancel")[0] == 200
            assert call("POST", f"/v1/messages/{found['id']}/cancel")[0] == 409
            assert "  cancelled  " in operator("message", found["id"])

            other = json.loads(operator("credential", "create", "--json"))
            call = caller(http["port"], f"{other['username']}.{other['secret']}")
            assert call("POST", "/v1/messages", MESSAGE)[0] == 403
