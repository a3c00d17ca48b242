"""What reports and lists of messages show of a message that comes in."""

from ingest.core.message_head import MessageHead
from posthouse.mail.address import InvalidAddress
from posthouse.mail.headline import Headline, headline, subject_line
from posthouse.mail.mailbox import Mailbox
from posthouse.profiles import Profile
from posthouse.profiles.choices import FromPolicy


def headline_of(head: MessageHead, sender: str, profile: Profile) -> Headline:
    """The headline of a message from the envelope's *sender*, as it will leave (M08, C24)."""
    subjects = head.fields(b"subject")
    from_subject = profile.tags.from_subject
    subject = subject_line(subjects[0], has_tags=from_subject) if subjects else ""
    replaces = profile.sender.from_policy is FromPolicy.REWRITE_FROM_ENVELOPE
    return headline(subject, _author(head), replaced_by=sender if replaces else "")


def _author(head: MessageHead) -> Mailbox | None:
    """The first mailbox of From, where the profile lets in a message that has none to be read."""
    if not head.fields(b"from"):
        return None
    try:
        return head.authors[0]
    except InvalidAddress:
        return None
