"""SPF records are merged, and above all there is one in the end (RULES C19)."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posthouse.domains.spf_record import MOST_LOOKUPS, UnusableSpf, is_spf, merge_spf
from posthouse.domains.spf_term import terms_of

PERMIT = "a:relay.example"

QUALIFIERS = st.sampled_from(["", "+", "-", "~", "?"])
HOSTS = st.sampled_from(["x.example", "_spf.google.com", "relay.example", "mail.y.example"])
MECHANISMS = st.one_of(
    st.sampled_from(
        ["a", "mx", "ip4:192.0.2.0/24", "ip6:2001:db8::/32", "a/24", "mx:y.example//64"]
    ),
    HOSTS.map("include:{}".format),
    HOSTS.map("a:{}".format),
    HOSTS.map("exists:%{{i}}.{}".format),
)
TERMS = st.builds("{}{}".format, QUALIFIERS, MECHANISMS)
LAST = st.sampled_from(["", "all", "-all", "~all", "?all", "+all", "redirect=_spf.x.example"])


@st.composite
def records(draw: st.DrawFn) -> str:
    """An SPF record as people have them: mechanisms, then "all" or a modifier."""
    terms = draw(st.lists(TERMS, max_size=8))
    return " ".join(
        filter(None, ["v=spf1", *terms, draw(LAST), draw(st.sampled_from(["", "exp=w.x.example"]))])
    )


@given(
    record=records(),
    others=st.lists(
        st.sampled_from(["google-site-verification=x", "v=spf10 -all", "spf2.0/pra a"])
    ),
)
def test_C19_merging_loses_no_mechanism_and_yields_one_record(
    record: str, others: list[str]
) -> None:
    assume(sum(term.looks_up for term in terms_of(record)) < MOST_LOOKUPS)
    merged = merge_spf([*others, record], PERMIT)
    assert is_spf(merged)
    before, after = record.split(), merged.split()
    assert [term for term in after if term != PERMIT] == [t for t in before if t != PERMIT]
    assert merge_spf([merged], PERMIT) == merged
    # "all" stays behind every mechanism, as it was.
    known = [term for term in terms_of(merged) if term.qualifier]
    assert "all" not in {term.name for term in known[:-1]}
    assert any(t.name == "all" for t in terms_of(record)) == (
        bool(known) and known[-1].name == "all"
    )


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ((), "v=spf1 a:relay.example ~all"),
        (("google-site-verification=x",), "v=spf1 a:relay.example ~all"),
        (("v=spf10 -all",), "v=spf1 a:relay.example ~all"),
        (("v=spf1 -all",), "v=spf1 a:relay.example -all"),
        (("v=spf1",), "v=spf1 a:relay.example"),
        (
            ("v=spf1 include:_spf.google.com ?all", "other"),
            "v=spf1 include:_spf.google.com a:relay.example ?all",
        ),
        (("V=SPF1 mx",), "v=spf1 mx a:relay.example"),
        (("v=spf1 redirect=_spf.x.example",), "v=spf1 a:relay.example redirect=_spf.x.example"),
        (("v=spf1 mx -all exp=why.x.example",), "v=spf1 mx a:relay.example -all exp=why.x.example"),
        (("v=spf1 A:relay.example -all",), "v=spf1 A:relay.example -all"),
        (("v=spf1 +a:relay.example -all",), "v=spf1 +a:relay.example -all"),
        # Nothing is read behind "all": there the permission is worth nothing.
        (("v=spf1 -all a:relay.example",), "v=spf1 a:relay.example -all a:relay.example"),
        # The first term that matches decides.
        (("v=spf1 mx -a:relay.example -all",), "v=spf1 mx a:relay.example -a:relay.example -all"),
        (("v=spf1 ?ip4:192.0.2.0/24 mx ~all",), "v=spf1 a:relay.example ?ip4:192.0.2.0/24 mx ~all"),
    ],
)
def test_C19_a_permission_is_merged_into_the_one_spf_record(
    published: tuple[str, ...], expected: str
) -> None:
    assert expected == merge_spf(published, PERMIT)


def test_googles_older_name_is_not_added_beside_the_newer_one() -> None:
    old = "v=spf1 include:_spf.googlemail.com ~all"
    assert old == merge_spf([old], "include:_spf.google.com")


def test_C19_two_spf_records_are_refused_rather_than_made_three() -> None:
    with pytest.raises(UnusableSpf, match="2 SPF records"):
        merge_spf(("v=spf1 mx -all", "v=spf1 a -all"), PERMIT)


def test_a_record_that_asks_too_much_of_receivers_is_refused() -> None:
    many = " ".join(f"include:{n}.example" for n in range(10))
    with pytest.raises(UnusableSpf, match="11 look-ups"):
        merge_spf((f"v=spf1 {many} -all",), PERMIT)


@pytest.mark.parametrize(
    ("term", "error"),
    [
        ("all:x.example", "nothing may follow all"),
        ("-all/8", "nothing may follow all"),
        ("a:", "it names no domain"),
        ("mx:museum", "'museum' is no domain"),
        ("a:192.0.2.1", "'192.0.2.1' is no domain"),
        ("a:x.-example", "'x.-example' is no domain"),
        ("a:x.example:8080", "'x.example:8080' is no domain"),
        ("exists", "it names no domain"),
        ("include:", "it names no domain"),
        ("redirect=", "it names no domain"),
        ("ptr/0", "'/0' is neither"),
        ("ip4:192.0.2.1/33", "/33 is no length"),
        ("ip4:192.0.2.1/032", "is no IPv4 address"),
        ("ip4:192.0.2.1//32", "is no length of a prefix"),
        ("ip6:2001:db8::/129", "/129 is no length"),
        ("ip6", "'' is no IPv6 address"),
        ("exists:%(ir).x.example", "a % that is no macro"),
        ("exists:%{a}.x.example", "a % that is no macro"),
        ("foo=%abc", "a % that is no macro"),
        ("moo", "receivers do not know such a mechanism"),
        ("-foo=x.example", "receivers do not know such a mechanism"),
        ("=all", "it is no term of SPF"),
        ("1up=foo", "it is no term of SPF"),
        ("a:x.example\tptr", "it is no term of SPF"),
        ("a:\xe9.example", "it is no term of SPF"),
        ("redirect=a.example redirect=b.example", "redirect= may be there once"),
    ],
)
def test_an_error_in_a_term_is_named(term: str, error: str) -> None:
    """It fails the whole record (RFC 7208 section 4.6), also behind "all"."""
    assert error in terms_of(f"v=spf1 -all {term}")[-1].error


@pytest.mark.parametrize(
    "term",
    [
        "a",
        "a/24//64",
        "a:x.example.",
        "mx//0",
        "a:foo:bar/baz.x.example",
        "a:x.xn--p1ai",
        "exists:%{ir}.%{l1r+-}._spf.%{d}",
        "include:%{d}",
        "a:macro%%percent%_%-url.x.example",
        "ip6:2001:db8::/32",
        "?ptr:x.example",
        "exp=why.x.example",
        "op=dkim",
    ],
)
def test_a_term_that_is_right_has_no_error(term: str) -> None:
    (found,) = terms_of(f"v=spf1  {term} ")
    assert (found.error, found.text) == ("", term)
