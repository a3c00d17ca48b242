"""Names the failed recipients of a notice, each with the words that are about it."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from bounces.core.failure_words import FAILURE_TEXT
from bounces.core.named_addresses import Named, Role, named_addresses
from bounces.core.notice import Notice

_MOST_RECIPIENTS = 1000
_LONGEST_PROSE = 4000  # characters about one recipient
_LOCAL_PART = re.compile(r"\s+([\w.+-]{2,64})(?:\s*\(.*\)|\s{2,}.*)?\s*$", re.ASCII)


def recipients_in(
    notice: Notice,
    failed: Sequence[str],
    ours: Collection[str],
    sent_to: Sequence[str],
    domain: str = "",
) -> tuple[tuple[str, str], ...]:
    """Each failed recipient and what is said about it.

    *failed* are those that the header names; *ours* the sender's own addresses, in lower case;
    *sent_to* the recipients that the original's header names, of whom one alone is believed;
    *domain* that of the mail system, for recipients that it names without theirs.
    """
    named = named_addresses(notice.lines, ours)
    chosen = _chosen(named, failed)
    if not chosen and not failed:
        if listed := _by_local_part(notice, sent_to, domain):
            return _with_all(notice, listed)
        named = named_addresses(notice.lines, ())  # mail to oneself comes back too
        chosen = _chosen(named, ())
    found = tuple(_with_prose(notice.lines, named, chosen)) if chosen else ()
    if failed:
        return (*found, *_not_named(notice, failed, chosen))
    return found or _with_all(notice, sent_to if len(sent_to) == 1 else ())


def _with_all(notice: Notice, addresses: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Each of *addresses* with all of the text."""
    return tuple((address, notice.text[:_LONGEST_PROSE]) for address in addresses)


def _not_named(
    notice: Notice, failed: Sequence[str], chosen: Sequence[Named]
) -> Iterator[tuple[str, str]]:
    """Those of *failed* that the text does not name; if it is one alone, the text is about it."""
    seen = {name.address.lower() for name in chosen}
    about = notice.text[:_LONGEST_PROSE] if len(failed) == 1 else ""
    for address in failed:
        if address.lower() not in seen:
            yield address, about


def _by_local_part(notice: Notice, sent_to: Sequence[str], domain: str) -> tuple[str, ...]:
    """The recipients of a list that has local parts only, below a line that tells of a failure."""
    found: list[str] = []
    below = False
    for line in notice.lines:
        name = _LOCAL_PART.match(line)
        if below and name:
            whole = (a for a in sent_to if a.lower().startswith(f"{name[1].lower()}@"))
            found.append(next(whole, f"{name[1]}@{domain}"))
        elif line.strip():
            below = line.rstrip().endswith(":") and FAILURE_TEXT.search(line[:1000]) is not None
    return tuple(found[:_MOST_RECIPIENTS]) if domain else ()


def _chosen(named: Sequence[Named], failed: Sequence[str]) -> list[Named]:
    """The first naming of each failed recipient."""
    if failed:
        wanted = {address.lower() for address in failed}
        naming = [name for name in named if name.address.lower() in wanted]
    else:
        best = max((name.role for name in named), default=Role.OTHER)
        naming = [name for name in named if name.role is best]
        if best is Role.OTHER or (best is Role.MENTIONED and len(naming) > 1):
            naming = []
    first: dict[str, Named] = {}
    for name in naming:
        first.setdefault(name.address.lower(), name)
    return list(first.values())[:_MOST_RECIPIENTS]


def _with_prose(
    lines: Sequence[str], named: Sequence[Named], chosen: Sequence[Named]
) -> Iterator[tuple[str, str]]:
    """Each of *chosen* with the lines from its own to the next one's, and others that name it."""
    if chosen[0].role is Role.TRANSCRIPT:
        yield from _in_dialogue(lines, chosen)
        return
    if len(chosen) == 1:
        only = chosen[0]
        before = "\n".join(lines[: only.line])
        yield only.address, (_behind(lines, only, len(lines)) + "\n\n" + before)[:_LONGEST_PROSE]
        return
    shared = "\n".join(lines[chosen[-1].line + 1 :])
    of_chosen = frozenset(name.address.lower() for name in chosen)
    for name in chosen:
        own = _behind(lines, name, _next_line(named, of_chosen, name, len(lines)))
        again = "\n".join(_lines_again(lines, named, name))
        text = own if re.search(r"\w", own) else again or shared
        yield name.address, f"{text}\n\n{again}"[:_LONGEST_PROSE]


def _in_dialogue(lines: Sequence[str], chosen: Sequence[Named]) -> Iterator[tuple[str, str]]:
    """Each of *chosen* with the replies up to the line that names it, and the one that follows."""
    begin = 0
    for name in chosen:
        end = name.line + 1
        if lines[name.line].lstrip().startswith(">>>"):
            begin, end = name.line, end + 1
        yield name.address, "\n".join(lines[begin:end])[:_LONGEST_PROSE]
        begin = end


def _behind(lines: Sequence[str], name: Named, end: int) -> str:
    first = lines[name.line]
    if name.role is Role.HEADING:
        first = first[name.end :].lstrip(">\"')] \t:;,")
    return "\n".join([first, *lines[name.line + 1 : end]])


def _next_line(named: Sequence[Named], of_chosen: frozenset[str], name: Named, last: int) -> int:
    """The number of the next line that names another recipient, in whatever role."""
    this = name.address.lower()
    for other in named:
        address = other.address.lower()
        if other.line > name.line and address != this and address in of_chosen:
            return other.line
    return last


def _lines_again(lines: Sequence[str], named: Sequence[Named], name: Named) -> Iterator[str]:
    """Later lines that name the address; with a command to a server comes its answer."""
    wanted = name.address.lower()
    for other in named:
        if other.line > name.line and other.address.lower() == wanted:
            yield lines[other.line]
            if lines[other.line].lstrip().startswith(">>>"):
                yield from lines[other.line + 1 : other.line + 2]
