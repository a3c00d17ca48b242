"""The domains and addresses that a profile lets its users send as (RULES U13, U14)."""

from collections.abc import Iterator

from posthouse.mail.address import InvalidAddress, normal_form, parse_address_or_domain

_SEPARATOR = ";"


def read_domains(given: object) -> tuple[str, ...]:
    """Domains in lower case as A-labels, each once; raises ValueError.

    *given* is a list, or a text with semicolons between them.
    """
    return tuple(dict.fromkeys(_domain(text) for text in _entries(given)))


def read_addresses(given: object) -> tuple[str, ...]:
    """Addresses in the form in which they are compared, each once; raises ValueError.

    *given* is a list, or a text with semicolons between them.
    """
    return tuple(dict.fromkeys(_address(text) for text in _entries(given)))


def read_address_or_nothing(given: object) -> str:
    """An address as it is written, or ""; raises ValueError."""
    if given == "":
        return ""
    if not isinstance(given, str) or given.startswith("@"):
        raise ValueError(f"{given!r} is not an address, as jo@a.example")
    if not given.rpartition("@")[0].isascii():  # no server may need SMTPUTF8 for a field of ours
        raise ValueError(f"{given!r} has characters before its @ that are not ASCII")
    return parse_address_or_domain(given)


def _entries(given: object) -> Iterator[str]:
    texts = given.split(_SEPARATOR) if isinstance(given, str) else given
    if not isinstance(texts, list | tuple):
        raise ValueError(f"{given!r} is no list, and no text with a semicolon between entries")  # noqa: TRY004
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a text")  # noqa: TRY004 - of a stored value
        if entry := text.strip():
            yield entry


def _domain(text: str) -> str:
    try:
        return normal_form(parse_address_or_domain(f"@{text.removesuffix('.')}")).removeprefix("@")
    except InvalidAddress as error:
        raise ValueError(f"{text!r} is not a domain, as a.example") from error


def _address(text: str) -> str:
    if text.startswith("@"):
        raise ValueError(f"{text!r} is not an address, as jo@a.example: it is a domain")
    return normal_form(parse_address_or_domain(text))
