from pathlib import Path

import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, send_mail

EMAIL_BACKEND = "django_ses.SESBackend"
USE_SES_V2 = True
AWS_SES_REGION_ENDPOINT_URL = "https://relay.example.com:2580"
AWS_SES_REGION_NAME = "eu-west-1"
AWS_SES_ACCESS_KEY_ID = "USER"
AWS_SES_SECRET_ACCESS_KEY = "SECRET"
AWS_SES_CONFIGURATION_SET = "newsletter"
DEFAULT_FROM_EMAIL = "Shöp <shop@example.com>"

settings.configure(**{name: value for name, value in globals().items() if name.isupper()})
django.setup()

subject, text = Path("subject.txt").read_text(), Path("text.txt").read_text()
letter = EmailMultiAlternatives(subject, text, to=["you@there.example"], bcc=["bcc@there.example"])
letter.attach_alternative(Path("page.html").read_text(), "text/html")
letter.attach("invoice.bin", Path("invoice.bin").read_bytes(), "application/octet-stream")
letter.send()
print(letter.extra_headers["message_id"])
send_mail(subject, text, None, ["you@there.example"])
