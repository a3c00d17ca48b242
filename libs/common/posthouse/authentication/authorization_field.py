"""What the Authorization field of a request says about who calls (RULES X03)."""

from base64 import b64decode

from posthouse.smtp.commands import Credentials


class NoProof(ValueError):
    """It says nothing that can be proven; the text says what is allowed."""


def proof_in(authorization: str | None) -> tuple[Credentials, str]:
    """What a caller says it is: Basic (RFC 7617), or Bearer with USER.SECRET (RFC 6750).

    With Bearer also what may be a secret that was brought along, and says itself whose it is, else
    "". Raises NoProof.
    """
    scheme, _, rest = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        key = rest.strip()
        username, _, secret = key.rpartition(".")
        return Credentials(username, secret), key
    if scheme.lower() == "basic":
        try:
            text = b64decode(rest.strip(), validate=True).decode()
        except ValueError:
            raise NoProof("Basic credentials are base64 of USER:SECRET in UTF-8") from None
        username, _, secret = text.partition(":")
        return Credentials(username, secret), ""
    raise NoProof("Authorization is required: Bearer USER.SECRET, or Basic")
