import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

tls = ssl.create_default_context(cafile="/etc/ssl/relay.crt")
relay = smtplib.SMTP("relay.example.com", 587)
relay.starttls(context=tls)
relay.login("USER", "SECRET")

message = EmailMessage()
message["From"] = "Shop <shop@example.com>"
message["To"] = "you@there.example"
message["Subject"] = Path("subject.txt").read_text()
message.set_content(Path("text.txt").read_text())
message.add_alternative(Path("page.html").read_text(), subtype="html")
message.add_attachment(
    Path("invoice.bin").read_bytes(),
    maintype="application",
    subtype="octet-stream",
    filename="invoice.bin",
)
relay.send_message(message)
relay.quit()
