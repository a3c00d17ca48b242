"""What SendEmail of Amazon SES, version 2, takes: each field that its description names."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

SesAddress: TypeAlias = Annotated[str, Meta(max_length=1_000)]
Addresses: TypeAlias = Annotated[list[SesAddress], Meta(max_length=1_000)]
Enabled: TypeAlias = Literal["ENABLED", "DISABLED"]


class SesDestination(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """Who gets the message."""

    to_addresses: Addresses | None = None
    cc_addresses: Addresses | None = None
    bcc_addresses: Addresses | None = None


class SesText(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """Text; JSON has it in Unicode, so that a charset says nothing more."""

    data: str
    charset: str | None = None


class SesBody(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """The text in two forms, of which one is required."""

    text: SesText | None = None
    html: SesText | None = None


class SesHeader(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """Another field of the header."""

    name: str
    value: str


class SesAttachment(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """A file that goes with the message."""

    raw_content: Annotated[str, Meta(description="In base64 (RFC 4648 section 4).")]
    file_name: Annotated[str, Meta(max_length=255)]
    content_disposition: Literal["ATTACHMENT", "INLINE"] | None = None
    content_description: Annotated[str, Meta(max_length=1_000)] | None = None
    content_id: str | None = None
    content_transfer_encoding: Literal["BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT"] | None = None
    content_type: Annotated[str, Meta(max_length=255)] | None = None


class SesSimple(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """A message of which we make the octets."""

    subject: SesText
    body: SesBody
    headers: list[SesHeader] | None = None
    attachments: list[SesAttachment] | None = None


class SesRaw(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """A message as it is."""

    data: Annotated[str, Meta(description="In base64 (RFC 4648 section 4).")]


class SesContent(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """Simple or Raw."""

    simple: SesSimple | None = None
    raw: SesRaw | None = None
    template: Annotated[Any, Meta(description="Refused.")] = None


class SesTag(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """A pair of metadata."""

    name: str
    value: str


class SesTracking(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """What is tracked."""

    open_tracking_enabled: Enabled | None = None
    click_tracking_enabled: Enabled | None = None


class SesOverrides(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """Settings for this message only."""

    tracking: SesTracking | None = None


class SendEmailBody(Struct, forbid_unknown_fields=True, frozen=True, rename="pascal"):
    """A message, as Amazon SES takes it."""

    content: SesContent
    from_email_address: SesAddress | None = None
    from_email_address_identity_arn: str | None = None
    destination: SesDestination | None = None
    reply_to_addresses: Addresses | None = None
    feedback_forwarding_email_address: SesAddress | None = None
    feedback_forwarding_email_address_identity_arn: str | None = None
    email_tags: list[SesTag] | None = None
    configuration_set_name: str | None = None
    configuration_overrides: SesOverrides | None = None
    endpoint_id: Annotated[Any, Meta(description="Refused.")] = None
    tenant_name: Annotated[Any, Meta(description="Refused.")] = None
    list_management_options: Annotated[Any, Meta(description="Refused.")] = None
