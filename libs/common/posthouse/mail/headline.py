"""What a list of messages, or a report, shows of one."""

from typing import NamedTuple

from posthouse.mail.encoded_words import decoded
from posthouse.mail.mailbox import Mailbox
from posthouse.mail.message import Field
from posthouse.mail.subject_tags import tags_in, without_tags

_MOST_CHARACTERS = 200  # of a subject or a name: what is beyond tells nobody more


class Headline(NamedTuple):
    """Subject and author, as a reader of the message sees them; "" for none."""

    subject: str = ""
    author: str = ""  # the address in From
    author_name: str = ""  # the display name beside it


NO_HEADLINE = Headline()


def subject_line(subject: Field, *, has_tags: bool = False) -> str:
    """The text of *subject*, cut; *has_tags*: without the tags at its front (RULES C24)."""
    text = decoded(subject.value.replace("\t", " "))
    if has_tags and tags_in(text) is not None:
        text = decoded(without_tags(subject).value.replace("\t", " "))
    return text[:_MOST_CHARACTERS].strip()


def headline(subject: str, author: Mailbox | None, *, replaced_by: str = "") -> Headline:
    """That of a message from *author*, whose address leaves as *replaced_by*, if that is given."""
    if author is None:
        return Headline(subject, replaced_by)
    name = author.name if author.phrase else ""
    return Headline(subject, replaced_by or str(author.address), name[:_MOST_CHARACTERS])
