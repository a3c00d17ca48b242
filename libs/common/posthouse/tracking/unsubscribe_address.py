"""The address that mail to unsubscribe is sent to: a token as a local part.

Local parts may be folded to lower case on their way, so the token is written in base32 (RFC 4648
section 6) and not in base64, as it is in a URL. A hyphen stands before it, not a plus: some
programs read that as a blank in a ``mailto:`` (RFC 6068 section 5).
"""

from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode

_PREFIX = "unsubscribe-"
# 27 octets are 44 digits, of which the last has four spare bits: the local part has 56 octets, of
# the 64 that RFC 5321 section 4.5.3.1.1 allows.
_DIGITS = 44
_PADDING = "=" * 4


def unsubscribe_address(token: str, host: str) -> str:
    """The address at *host* for *token*, which `posthouse.tracking.token.sign` made to unsubscribe.

    It is good for as long as the token is.
    """
    digits = b32encode(urlsafe_b64decode(token)).decode().rstrip("=").lower()
    return f"{_PREFIX}{digits}@{host}"


def token_in(local_part: str) -> str | None:
    """The token that *local_part* holds, in any case; None for another local part.

    Only `posthouse.tracking.token.read` says whether it is one of ours.
    """
    if local_part[: len(_PREFIX)].lower() != _PREFIX:
        return None
    digits = local_part[len(_PREFIX) :].upper()
    if len(digits) != _DIGITS or not digits.isascii():
        return None
    try:
        octets = b32decode(digits + _PADDING)
    except ValueError:
        return None
    # Each token has one spelling but for case.
    is_exact = b32encode(octets).decode().rstrip("=") == digits
    return urlsafe_b64encode(octets).decode() if is_exact else None
