"""How a published DKIM key differs from the one that signs, and what to change (RFC 6376 3.6.1)."""

from collections.abc import Iterator, Sequence
from itertools import permutations

_FORM_LIMIT = 255
_MOST_PIECES = 4


def differs(expected: str, seen: Sequence[str]) -> str:
    """What is wrong with the TXT records *seen* where *expected* should be; "" if nothing is."""
    if not seen:
        return "there is no TXT record: publish it"
    right = [text for text in seen if _same_key(expected, text)]
    if len(seen) > 1:
        if not right and _joined(expected, seen):
            return (
                f"the text was split into {len(seen)} records: publish it as one record (of "
                "several strings where one takes 255 characters only)"
            )
        which = "the others" if right else "all but one that is as expected"
        return f"there are {len(seen)} TXT records, and receivers take any of them: remove {which}"
    return _complaint_about(expected, seen[0]) if not right else _limits(seen[0])


def _complaint_about(expected: str, text: str) -> str:
    return next(_complaints_about(expected, text))


def _complaints_about(expected: str, text: str) -> Iterator[str]:
    tags, wanted = _tags(text), _tags(expected)
    key = tags.get("p")
    if '"' in text:
        yield "the record contains quotes: enter the text without them"
    if "\\" in text:
        yield "the record contains backslashes: enter the text without them"
    if key is None:
        yield "the record has no key (p=): publish the expected text"
    elif not key:
        yield "the key is revoked (p= is empty): publish the expected text"
    elif len(key) < len(wanted["p"]) and wanted["p"].startswith(key):
        yield (
            f"the text is cut off after {len(text)} characters: publish all {len(expected)}, in "
            f"strings of at most {_FORM_LIMIT}"
        )
    elif key != wanted["p"]:
        yield "it is another key: publish the expected text in its place"
    if tags.get("k", "rsa") != wanted.get("k", "rsa"):
        yield f"the type of the key is {tags.get('k', 'rsa')!r}, not {wanted['k']!r}"
    yield "v=DKIM1 comes first: publish the expected text"


def _limits(text: str) -> str:
    """What makes receivers refuse signatures by a key that is the right one."""
    tags = _tags(text)
    if "h" in tags and "sha256" not in tags["h"].split(":"):
        return f"h={tags['h']} excludes sha256: remove h="
    if not {"*", "email"} & set(tags.get("s", "*").split(":")):
        return f"s={tags['s']} excludes mail: remove s="
    return ""


def _same_key(expected: str, text: str) -> bool:
    wanted, tags = _tags(expected), _tags(text)
    first = text.partition("=")[0].strip()
    return (
        '"' not in text
        and "\\" not in text
        and tags.get("p") == wanted["p"]
        and tags.get("k", "rsa") == wanted.get("k", "rsa")
        # "If specified, this tag MUST be set to DKIM1 ... MUST be the first tag in the record."
        and ("v" not in tags or (tags["v"] == "DKIM1" and first == "v"))
    )


def _tags(text: str) -> dict[str, str]:
    """The tags of a record; white space around them and inside the key does not count."""
    pairs = (part.partition("=") for part in text.split(";"))
    found = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    return {name: "".join(v.split()) if name == "p" else v for name, v in found.items()}


def _joined(expected: str, seen: Sequence[str]) -> bool:
    if len(seen) > _MOST_PIECES:
        return False
    return any(_same_key(expected, "".join(parts)) for parts in permutations(seen))
