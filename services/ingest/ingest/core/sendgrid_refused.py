"""What SendGrid's API offers and this relay does not: refused by name, with what to do instead."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from ingest.core.new_message import WrongValue
from ingest.core.sendgrid_body import MailSendBody, OffBody

_TEMPLATES = "no templates are kept here: give the subject and the content of the message"
_LISTS = "lists of addresses that must not get mail are never passed over"

# Of the request and of each personalization.
REFUSED: Mapping[str, str] = {
    "template_id": _TEMPLATES,
    "sections": "sections are not put into substitutions here: give the whole text as substitution",
    "batch_id": "no batches are kept here: cancel a scheduled message by its id",
    "asm": "no unsubscribe groups are kept here, and no link is added: give List-Unsubscribe in"
    " headers, and a link in the content",
}
REFUSED_OF_ONE: Mapping[str, str] = {"dynamic_template_data": _TEMPLATES}

# Where enable is true.
REFUSED_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "mail_settings": {
        "bcc": "give the address in bcc of the personalizations",
        "bypass_list_management": _LISTS,
        "bypass_spam_management": _LISTS,
        "bypass_bounce_management": _LISTS,
        "bypass_unsubscribe_management": _LISTS,
        "footer": "no text is added: give it in the content",
        "spam_check": "content is not checked for spam",
    },
    "tracking_settings": {
        "subscription_tracking": "no link is added: give it in the content, and List-Unsubscribe"
        " in headers",
        "ganalytics": "links are not changed: give their parameters in the content",
    },
}


def refuse_by_name(found: Any) -> None:
    """Raise WrongValue for a field of the request *found* that nothing here carries out."""
    if not isinstance(found, dict):
        return
    _refuse(found, REFUSED, "")
    each = found.get("personalizations")
    for number, one in enumerate(each if isinstance(each, list) else ()):
        if isinstance(one, dict):
            _refuse(one, REFUSED_OF_ONE, f"/personalizations/{number}")


def _refuse(found: Mapping[str, Any], refused: Mapping[str, str], pointer: str) -> None:
    for name, why in refused.items():
        if name in found:
            raise WrongValue(f"{pointer}/{name}", f"{name} is not supported: {why}")


def refuse_settings(body: MailSendBody) -> None:
    """Raise WrongValue for a setting that is on and cannot be."""
    for group, refused in REFUSED_SETTINGS.items():
        given = getattr(body, group)
        for name, setting in structs.asdict(given).items() if given else ():
            if isinstance(setting, OffBody) and setting.enable:
                raise WrongValue(
                    f"/{group}/{name}/enable", f"{name} is not supported: {refused[name]}"
                )
    opens = body.tracking_settings and body.tracking_settings.open_tracking
    if opens and opens.enable and opens.substitution_tag:
        raise WrongValue(
            "/tracking_settings/open_tracking/substitution_tag",
            "substitution_tag is not supported: the picture stands at the end of the HTML",
        )
