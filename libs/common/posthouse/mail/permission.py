"""What a credential may be used for (RULES T03)."""

from enum import StrEnum


class Permission(StrEnum):
    """As stored; a newer version may know more."""

    SMTP = "smtp"  # to log in by SMTP
    HTTP = "http"  # as a key of the HTTP API
