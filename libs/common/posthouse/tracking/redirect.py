"""Where a stored target leads, as the field Location has it (RFC 9110 section 10.2.2)."""

import re
from urllib.parse import quote, urlsplit

# What a URL may consist of (RFC 3986), and what browsers leave as it is.
# In ASCII: else U+212A would be a "k" and U+017F an "s".
_PLAIN = re.compile(r"https?://[!-~]+", re.IGNORECASE | re.ASCII)
_SCHEME = re.compile(r"https?://[^\x00-\x20\x7f/\\?#]", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_KEPT = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
MOST_OCTETS = 16_384
"""Of a target; what is longer is led nowhere."""


def location(target: str) -> bytes | None:
    """*target* for Location; None for what is no address on the web.

    Only http and https lead anywhere. No control character gets through, so that nothing in a
    target can add a field. Other characters than those of ASCII are written as browsers do.
    """
    target = target.strip(" ")
    if len(target) > MOST_OCTETS or not _SCHEME.match(target) or _CONTROL.search(target):
        return None
    if _PLAIN.fullmatch(target):
        return target.encode("ascii")
    try:
        return _in_ascii(target)
    except ValueError:  # no host that there can be
        return None


def _in_ascii(target: str) -> bytes | None:
    parts = urlsplit(target)
    netloc = parts.netloc
    if not netloc.isascii():
        user, at, host = netloc.rpartition("@")
        name, colon, port = host.partition(":")
        ascii_name = name.encode("idna").decode("ascii")
        netloc = f"{quote(user, _KEPT)}{at}{ascii_name}{colon}{port}"
    if " " in netloc:
        return None
    found = parts._replace(netloc=netloc).geturl()
    return quote(found, safe=_KEPT, errors="replace").encode("ascii")
