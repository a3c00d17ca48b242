"""What a client hears of its login.

Enhanced codes are those of RFC 3463 and RFC 5248.
"""

from posthouse.mail.reply import Reply

AUTH_FAILED = Reply(535, "Authentication credentials invalid", "5.7.8")
TLS_REQUIRED = Reply(538, "Encryption required for requested authentication mechanism", "5.7.11")
AUTH_UNAVAILABLE = Reply(454, "Temporary authentication failure, try again in a minute", "4.7.0")
TOO_MANY_FAILED_LOGINS = Reply(
    421, "Too many failed logins: try again with the right user name and secret", "4.7.0"
)
LOGIN_ENDED = Reply(421, "This login was changed or withdrawn: connect and log in again", "4.7.0")


def too_many_guesses(seconds: int) -> Reply:
    """So many logins failed, of this user or at this address."""
    return Reply(421, f"Too many failed logins, try again in {seconds} seconds", "4.7.0")


def too_many_checks(seconds: int) -> Reply:
    """So many logins are being checked at this time."""
    return Reply(454, f"Too many logins at one time, try again in {seconds} seconds", "4.7.0")
