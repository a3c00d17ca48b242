"""The DKIM key that a message asks for by name (RULES T21)."""

from policy.core.draft import Draft, Rejection
from policy.core.facts import DomainKeys, Facts


def require_named_key(draft: Draft, facts: Facts) -> Draft | Rejection:
    """A message that names a key is sent only if it signs: every active key of a domain does.

    The name is a selector, alone or as in s1._domainkey.a.example.
    """
    wanted = draft.request.submission.attributes.choices.get("dkim_key")
    if wanted is None:
        return draft
    known = [d for d in facts.domains.values() if isinstance(d, DomainKeys)]
    names = [f"{key.selector}._domainkey.{key.domain}" for domain in known for key in domain.keys]
    if any(wanted in (name, name.partition(".")[0]) for name in names):
        return draft
    there = ", ".join(names) or "none"
    return Rejection(f"no active DKIM key is called {wanted!a}; there is: {there}")
