"""A non-delivery report, as a mail server sends it after it accepted a message (RFC 3464)."""

from datetime import datetime
from email.utils import format_datetime

_REPORT = """\
From: Mail Delivery System <mailer-daemon@{server}>
To: {return_path}
Date: {date}
Subject: Undelivered Mail Returned to DemoSender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"

--{boundary}
Content-Type: text/plain; charset=us-ascii

Your message could not be delivered to {recipient}: there is no such mailbox.

--{boundary}
Content-Type: message/delivery-status

Reporting-MTA: dns; {server}
Arrival-Date: {date}

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such mailbox

--{boundary}
Content-Type: text/rfc822-headers

"""


def non_delivery(
    *, recipient: str, return_path: str, header: bytes, server: str, boundary: str, now: datetime
) -> bytes:
    """The report that *recipient* does not exist, for *return_path*; *header* is the message's."""
    report = _REPORT.format(
        recipient=recipient,
        return_path=return_path,
        server=server,
        boundary=boundary,
        date=format_datetime(now),
    )
    end = f"\r\n--{boundary}--\r\n"
    # The header comes with CRLF and ends with its empty line.
    return report.replace("\n", "\r\n").encode() + header.removesuffix(b"\r\n") + end.encode()
