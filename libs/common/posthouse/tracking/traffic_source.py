"""The traffic source that a link tells the statistics of its site (RULES C21, C22)."""

from urllib.parse import quote

_PARAMETER = "utm_source"
_SCHEMES = ("http://", "https://")


def with_source(link: str, source: str) -> str:
    """*link* with *source* as its `utm_source`; one that names a source itself stays as it is.

    No other octet of it changes. What is not on the web, such as mailto:, stays as it is too.
    """
    if not source or not link.lower().startswith(_SCHEMES):
        return link
    page, hash_, fragment = link.partition("#")
    path, _, query = page.partition("?")
    given = (each.partition("=")[0].lower() for each in query.replace(";", "&").split("&"))
    if _PARAMETER in given:
        return link
    joint = "&" if query and not query.endswith("&") else ""
    return f"{path}?{query}{joint}{_PARAMETER}={quote(source, safe='')}{hash_}{fragment}"
