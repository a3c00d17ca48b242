import asyncio
import ssl
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib

message = EmailMessage()
message["From"] = "Shop <shop@example.com>"
message["To"] = "you@there.example"
message["Subject"] = Path("subject.txt").read_text()
message.set_content(Path("text.txt").read_text())

asyncio.run(
    aiosmtplib.send(
        message,
        hostname="relay.example.com",
        port=587,
        start_tls=True,
        tls_context=ssl.create_default_context(cafile="/etc/ssl/relay.crt"),
        username="USER",
        password="SECRET",
    )
)
