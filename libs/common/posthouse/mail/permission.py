"""What a credential may be used for (RULES T03)."""

from enum import StrEnum


class Permission(StrEnum):
    """As stored; a newer version may know more."""

    SMTP = "smtp"  # to log in by SMTP
    HTTP = "http"  # as a key of the HTTP API
    # As a key of the console's API, for its account and the children of that.
    READ_MESSAGES = "read_messages"
    READ_REPORTS = "read_reports"
    READ_EVENTS = "read_events"
    MANAGE_WEBHOOKS = "manage_webhooks"
    MANAGE_SUPPRESSIONS = "manage_suppressions"
    MANAGE_QUEUE = "manage_queue"  # acts on mail that waits
    # As a key of the operator: it is about the whole relay, and not about accounts.
    READ_INSTALLATION = "read_installation"
