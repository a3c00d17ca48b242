"""The page on which a recipient unsubscribes: HTML without scripts, for any reader."""

from base64 import b64encode
from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from html import escape

from posthouse.mail.subscription import Subscription
from tracking.core.language import Language
from tracking.core.unsubscribe_words import UNSUBSCRIBE_WORDS, UnsubscribeWords

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1b1b1b; font: 1.125rem/1.6 system-ui, sans-serif; }
main { max-width: 34rem; margin: 8vh auto; padding: 0 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
dt { color: #505050; font-size: 1rem; }
dd { margin: 0 0 .6rem; }
label { display: flex; gap: .6rem; align-items: baseline; margin: 1rem 0; min-height: 1.5rem; }
input { width: 1.25rem; height: 1.25rem; flex: none; }
button { min-height: 2.75rem; padding: .5rem 1.25rem; font: inherit; cursor: pointer;
  color: #fff; background: #0b4f9e; border: 2px solid #0b4f9e; border-radius: .3rem; }
button:hover { background: #083a75; }
:focus-visible { outline: 3px solid #0b4f9e; outline-offset: 3px; }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""


class DeadEnd(StrEnum):
    """Why there is nothing to ask, or nothing could be done."""

    WRONG = "wrong"  # no token of ours
    GONE = "gone"  # one of ours, and nothing is known of its message
    LATER = "later"  # the database is away
    BOUND = "bound"  # what is to be taken back cannot be any more


def page_that_asks(one: Subscription, language: Language) -> str:
    """The sender, the messages and the address, and a form to unsubscribe."""
    words = UNSUBSCRIBE_WORDS[language]
    choice = ""
    if one.scopes != ("",):
        choice = (
            '<label><input type="checkbox" name="everything" value="yes">'
            f" <span>{escape(words.everything)}</span></label>\n"
        )
    content = (
        f"<p>{escape(words.question)}</p>\n{_about(one, words)}\n"
        f'<form method="post">\n{choice}'
        f'<button name="action" value="unsubscribe">{escape(words.leave)}</button>\n</form>'
    )
    return _page(language, words.title, content)


def page_of_left(one: Subscription, language: Language) -> str:
    """That it is done, and a form to take it back for as long as that can be done."""
    words = UNSUBSCRIBE_WORDS[language]
    undo = ""
    if one.revocable_until is not None:
        until = f'<time datetime="{one.revocable_until:%Y-%m-%d}">'
        until += f"{one.revocable_until:%Y-%m-%d}</time>"
        undo = (
            f"\n<p>{escape(words.undo).format(date=until)}</p>\n"
            '<form method="post">\n<button name="action" value="resubscribe">'
            f"{escape(words.undo_button)}</button>\n</form>"
        )
    done = escape(words.left).format(address=_address(one))
    content = f'<p role="status">{done}</p>\n{_about(one, words)}{undo}'
    return _page(language, words.left_title, content)


def page_of_return(one: Subscription, language: Language) -> str:
    """That it was taken back."""
    words = UNSUBSCRIBE_WORDS[language]
    done = escape(words.back).format(address=_address(one))
    return _page(language, words.back_title, f'<p role="status">{done}</p>\n{_about(one, words)}')


def page_of_dead_end(why: DeadEnd, language: Language) -> str:
    """That nothing was done, and what to do."""
    words = UNSUBSCRIBE_WORDS[language]
    title, text = {
        DeadEnd.WRONG: (words.wrong_title, words.wrong),
        DeadEnd.GONE: (words.gone_title, words.gone),
        DeadEnd.LATER: (words.later_title, words.later),
        DeadEnd.BOUND: (words.bound_title, words.bound),
    }[why]
    return _page(language, title, f'<p role="alert">{escape(text)}</p>')


def masked(address: str) -> str:
    """*address* so that its owner knows it again, and nobody else reads it off the page."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}"


def _page(language: Language, title: str, content: str) -> str:
    return _PAGE.format(language=language, title=escape(title), content=content, style=_STYLE)


def _about(one: Subscription, words: UnsubscribeWords) -> str:
    rows = [
        (words.sender, _sender(one)),
        (words.messages, ", ".join(_messages(one, words))),
        (words.address, _address(one)),
    ]
    told = "\n".join(f"<dt>{escape(name)}</dt>\n<dd>{value}</dd>" for name, value in rows if value)
    return f"<dl>\n{told}\n</dl>"


def _sender(one: Subscription) -> str:
    """The display name and the domain in From, as HTML: names may run from right to left."""
    domain = escape(one.author.rpartition("@")[2])
    name = escape(one.author_name)
    if name and domain:
        return f"<bdi>{name}</bdi> ({domain})"
    return f"<bdi>{name or domain}</bdi>" if name or domain else ""


def _address(one: Subscription) -> str:
    return f"<bdi>{escape(masked(one.recipient))}</bdi>"


def _messages(one: Subscription, words: UnsubscribeWords) -> Iterator[str]:
    """What is unsubscribed from, as HTML."""
    for scope in one.scopes:
        kind, _, name = scope.partition(":")
        text = {"stream": words.of_list, "tag": words.of_tag}.get(kind, words.all_mail)
        yield escape(text).format(name=f"<bdi>{escape(name)}</bdi>")
