from pathlib import Path

import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, send_mass_mail

EMAIL_HOST = "relay.example.com"
EMAIL_PORT = 587
EMAIL_USE_TLS = True
EMAIL_HOST_USER = "USER"
EMAIL_HOST_PASSWORD = "SECRET"
EMAIL_TIMEOUT = 60
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
SERVER_EMAIL = "shop@example.com"

settings.configure(**{name: value for name, value in globals().items() if name.isupper()})
django.setup()

subject, text = Path("subject.txt").read_text(), Path("text.txt").read_text()
letter = EmailMultiAlternatives(subject, text, to=["you@there.example"])
letter.attach_alternative(Path("page.html").read_text(), "text/html")
letter.attach("invoice.bin", Path("invoice.bin").read_bytes(), "application/octet-stream")
letter.send()
send_mass_mail([(subject, text, None, ["you@there.example"])] * 3)
