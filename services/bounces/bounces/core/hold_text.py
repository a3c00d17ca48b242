"""The message that tells an owner that the account is held."""

from bounces.core.composing import message, plain, words
from bounces.core.notice_text import Frame, common_fields


def hold_notice(to: str, account: str, reason: str, frame: Frame) -> tuple[bytes, bytes]:
    """Header and body of a message to *to*: *account* is held for that *reason*."""
    return message(
        [
            *common_fields(frame, to, f"Mail of the account {plain(account)} is held"),
            ("Auto-Submitted", "auto-generated"),
        ],
        "mixed",
        [
            words(
                (
                    f"This is the mail system at {plain(frame.hostname)}.",
                    "",
                    f"Mail of the account {plain(account)} is held:",
                    f"  {plain(reason)}.",
                    "",
                    "Nothing is lost: what you submit is accepted, and waits until the operator of",
                    "this relay releases the account. Please remove the recipients that do not",
                    "exist, or that do not want your mail, and write to the operator.",
                )
            )
        ],
        frame.id,
    )
