import ssl
from base64 import b64encode
from pathlib import Path

import httpx

answer = httpx.post(
    "https://relay.example.com:2580/v1/messages",
    headers={"Authorization": "Bearer USER.SECRET", "Idempotency-Key": "order-4711"},
    json={
        "from": "Shop <shop@example.com>",
        "to": "you@there.example",
        "subject": Path("subject.txt").read_text(),
        "text": Path("text.txt").read_text(),
        "html": Path("page.html").read_text(),
        "attachments": [
            {
                "filename": "invoice.bin",
                "content": b64encode(Path("invoice.bin").read_bytes()).decode(),
            }
        ],
    },
    verify=ssl.create_default_context(cafile="/etc/ssl/relay.crt"),
)
answer.raise_for_status()
print(answer.json()["id"])
