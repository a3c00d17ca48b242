"""The message that asks the owner of an address for a code."""

from bounces.core.notices.composing import message, plain, words
from bounces.core.notices.notice_text import Frame, common_fields


def confirmation_notice(to: str, account: str, code: str, frame: Frame) -> tuple[bytes, bytes]:
    """Header and body of a message to *to*: *account* would like to send it test messages."""
    return message(
        [
            *common_fields(frame, to, f"May {plain(account)} send you test messages?"),
            ("Auto-Submitted", "auto-generated"),
        ],
        "mixed",
        [
            words(
                (
                    f"This is the mail system at {plain(frame.hostname)}.",
                    "",
                    f"The account {plain(account)} would like to send test messages to this",
                    "address. If that is what you want, give them this code within a day:",
                    "",
                    f"  {code}",
                    "",
                    "If not, you need do nothing: without the code no test message is sent to you.",
                )
            )
        ],
        frame.id,
    )
