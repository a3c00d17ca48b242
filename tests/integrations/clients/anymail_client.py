from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
from anymail.message import attach_inline_image
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

EMAIL_BACKEND = "anymail.backends.sendgrid.EmailBackend"
ANYMAIL = {
    "SENDGRID_API_KEY": "USER.SECRET",
    "SENDGRID_API_URL": "https://relay.example.com:2580/v3/",
}
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"

settings.configure(**{name: value for name, value in globals().items() if name.isupper()})
django.setup()

subject, text = Path("subject.txt").read_text(), Path("text.txt").read_text()
letter = EmailMultiAlternatives(subject, text, to=["you@there.example"])
letter.attach_alternative(Path("page.html").read_text(), "text/html")
letter.attach("invoice.bin", Path("invoice.bin").read_bytes(), "application/octet-stream")
letter.tags = ["news"]
letter.metadata = {"order": 4711}
letter.track_opens = False
letter.send()
assert letter.anymail_status.status == {"queued"}

people = {"Ann": "ann-you@there.example", "Bo": "bo-you@there.example"}
many = EmailMultiAlternatives("Hello {name}", "Dear {name}", to=list(people.values()))
many.merge_data = {address: {"name": name} for name, address in people.items()}
many.esp_extra = {"merge_field_format": "{{{}}}"}
logo = attach_inline_image(many, b"a picture", "logo.png", subtype="png")
many.attach_alternative(f'<img src="cid:{logo}"> {{name}}', "text/html")
many.send_at = datetime.now(UTC) + timedelta(seconds=1)
many.extra_headers = {"X-Ours": "all", "Reply-To": "re@example.com"}
assert get_connection().send_messages([many]) == 1
