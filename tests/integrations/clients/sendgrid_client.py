from base64 import b64encode
from pathlib import Path

from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Attachment, Mail

relay = SendGridAPIClient("USER.SECRET", host="https://relay.example.com:2580")
letter = Mail(
    ("shop@example.com", "Shop"),
    "you@there.example",
    Path("subject.txt").read_text(),
    Path("text.txt").read_text(),
    Path("page.html").read_text(),
)
invoice = b64encode(Path("invoice.bin").read_bytes()).decode()
letter.attachment = Attachment(invoice, "invoice.bin", "application/octet-stream")
answer = relay.send(letter)
print(answer.status_code, answer.headers["X-Message-Id"])
