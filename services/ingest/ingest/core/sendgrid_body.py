"""The JSON of SendGrid's POST /v3/mail/send, as far as it is carried out.

docs/integrations/sendgrid.md has a row for each field; a test compares both.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

MOST_RECIPIENTS = 1_000  # of a request
MOST_CATEGORIES = 10
MOST_OCTETS = 10_000  # of the substitutions, or custom_args, of a personalization

Subject: TypeAlias = Annotated[str, Meta(min_length=1)]
Moment: TypeAlias = Annotated[
    int, Meta(ge=0, le=99_999_999_999, description="Seconds since 1970; not before then.")
]
Headers: TypeAlias = Annotated[
    dict[str, str], Meta(description="Fields that are not made of the others.")
]
CustomArgs: TypeAlias = Annotated[
    dict[str, str], Meta(description="Of your own; comes back with events.")
]


class AddressBody(Struct, forbid_unknown_fields=True, frozen=True):
    """An address and the name that readers see beside it."""

    email: Annotated[str, Meta(max_length=320)]
    name: Annotated[str, Meta(max_length=255)] = ""


Addresses: TypeAlias = Annotated[list[AddressBody], Meta(max_length=MOST_RECIPIENTS)]


class PersonalizationBody(
    Struct, forbid_unknown_fields=True, frozen=True, rename={"sender": "from"}
):
    """A message of its own: who gets it, and what is not as in the others."""

    to: Annotated[list[AddressBody], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    cc: Addresses = field(default_factory=list)
    bcc: Addresses = field(default_factory=list)
    sender: AddressBody | None = None
    subject: Subject | None = None
    headers: Headers = field(default_factory=dict)
    substitutions: Annotated[
        dict[str, str | None],
        Meta(description="By the text that each replaces in subject, content and reply_to."),
    ] = field(default_factory=dict)
    custom_args: CustomArgs = field(default_factory=dict)
    send_at: Moment | None = None


class ContentBody(Struct, forbid_unknown_fields=True, frozen=True):
    """The text in one of its types."""

    type: Annotated[str, Meta(min_length=1, max_length=100)]
    value: Annotated[str, Meta(min_length=1)]


class FileBody(Struct, forbid_unknown_fields=True, frozen=True):
    """A file that goes with the messages."""

    content: Annotated[str, Meta(min_length=1, description="In base64 (RFC 4648 section 4).")]
    filename: Annotated[str, Meta(max_length=255)]
    type: Annotated[str, Meta(max_length=255)] = ""
    disposition: Literal["inline", "attachment"] = "attachment"
    content_id: Annotated[str, Meta(max_length=200)] = ""


class SwitchBody(Struct, forbid_unknown_fields=True, frozen=True):
    """A setting that is on or off."""

    enable: bool


class OffBody(Struct, frozen=True):
    """A setting that has to be off: what else is said of it means nothing then."""

    enable: bool


class MailSettingsBody(Struct, forbid_unknown_fields=True, frozen=True):
    """How the messages are handled."""

    sandbox_mode: SwitchBody | None = None
    bcc: OffBody | None = None
    bypass_list_management: OffBody | None = None
    bypass_spam_management: OffBody | None = None
    bypass_bounce_management: OffBody | None = None
    bypass_unsubscribe_management: OffBody | None = None
    footer: OffBody | None = None
    spam_check: OffBody | None = None


class ClickTrackingBody(Struct, forbid_unknown_fields=True, frozen=True):
    """Of links."""

    enable: bool
    enable_text: bool = False


class OpenTrackingBody(Struct, forbid_unknown_fields=True, frozen=True):
    """Of a picture that nobody sees."""

    enable: bool
    substitution_tag: str | None = None


class TrackingSettingsBody(Struct, forbid_unknown_fields=True, frozen=True):
    """What is tracked; wins over the account's settings where its profile allows that."""

    click_tracking: ClickTrackingBody | None = None
    open_tracking: OpenTrackingBody | None = None
    subscription_tracking: OffBody | None = None
    ganalytics: OffBody | None = None


class MailSendBody(Struct, forbid_unknown_fields=True, frozen=True, rename={"sender": "from"}):
    """What POST /v3/mail/send takes: one message for each personalization."""

    personalizations: Annotated[
        list[PersonalizationBody], Meta(min_length=1, max_length=MOST_RECIPIENTS)
    ]
    sender: AddressBody
    content: Annotated[list[ContentBody], Meta(min_length=1, max_length=100)]
    reply_to: AddressBody | None = None
    reply_to_list: Addresses = field(default_factory=list)
    subject: Subject | None = None
    attachments: list[FileBody] = field(default_factory=list)
    headers: Headers = field(default_factory=dict)
    categories: Annotated[
        list[Annotated[str, Meta(max_length=255)]], Meta(max_length=MOST_CATEGORIES)
    ] = field(default_factory=list)
    custom_args: CustomArgs = field(default_factory=dict)
    send_at: Moment | None = None
    ip_pool_name: str = ""
    mail_settings: MailSettingsBody | None = None
    tracking_settings: TrackingSettingsBody | None = None
