import sys

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    CustomArg,
    Email,
    Header,
    Mail,
    MailSettings,
    OpenTracking,
    Personalization,
    ReplyTo,
    SandBoxMode,
    SendAt,
    Substitution,
    TrackingSettings,
)

relay = SendGridAPIClient("USER.SECRET", host="https://relay.example.com:2580")
letter = Mail(("shop@example.com", "Shop"), subject="Hello -name-")
letter.content = [
    Content("text/plain", "Dear -name-"),
    Content("text/html", "<p>Dear -name-"),
    Content("text/x-amp-html", "<html amp4email>-name-"),
]
letter.reply_to = ReplyTo("re@example.com", "Answers")
letter.category = [Category("news"), Category("shop")]
letter.custom_arg = CustomArg("order", "4711")
letter.header = Header("X-Ours", "all")
letter.send_at = SendAt(1)
letter.tracking_settings = TrackingSettings(ClickTracking(True, False), OpenTracking(False))
for number in (1, 2):
    one = Personalization()
    one.add_to(Email(f"{number}-you@there.example", f"Reader {number}"))
    one.add_cc(Email(f"cc{number}-you@there.example"))
    one.add_bcc(Email(f"bcc{number}-you@there.example"))
    one.add_substitution(Substitution("-name-", f"Jo {number}"))
    one.add_header(Header("X-One", str(number)))
    one.add_custom_arg(CustomArg("number", str(number)))
    letter.add_personalization(one)

if "sandbox" in sys.argv:
    letter.mail_settings = MailSettings(sandbox_mode=SandBoxMode(True))
if "template" in sys.argv:
    letter.template_id = "d-13b8f94fbcae4ec6b75270d6cb59f932"
try:
    answer = relay.send(letter)
except HTTPError as error:
    sys.exit(f"{error.status_code} {error.to_dict['errors'][0]}")
print(answer.status_code, answer.headers["X-Message-Id"])
