"""The records a domain publishes, and above all that there is one SPF record (RULES C19)."""

import pytest

from command.dns_records import UnusableSpf, merge_spf, records_for

PERMIT = "a:relay.example"


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ((), "v=spf1 a:relay.example ~all"),
        (("google-site-verification=x",), "v=spf1 a:relay.example ~all"),
        (("v=spf10 -all",), "v=spf1 a:relay.example ~all"),
        (("v=spf1 -all",), "v=spf1 a:relay.example -all"),
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
        (
            ("v=spf1 -all a:relay.example",),
            "v=spf1 a:relay.example -all a:relay.example",
        ),
        (("v=spf1 -a:relay.example -all",), "v=spf1 -a:relay.example a:relay.example -all"),
    ],
)
def test_a_permission_is_merged_into_the_one_spf_record(
    published: tuple[str, ...], expected: str
) -> None:
    assert expected == merge_spf(published, PERMIT)


def test_two_spf_records_are_refused_rather_than_made_three() -> None:
    with pytest.raises(UnusableSpf, match="2 SPF records"):
        merge_spf(("v=spf1 mx -all", "v=spf1 a -all"), PERMIT)


def test_a_record_that_asks_too_much_of_receivers_is_refused() -> None:
    many = " ".join(f"include:{n}.example" for n in range(10))
    with pytest.raises(UnusableSpf, match="11 look-ups"):
        merge_spf((f"v=spf1 {many} -all",), PERMIT)


def test_long_keys_are_split_for_the_zone_file_only() -> None:
    text = "v=DKIM1; k=rsa; p=" + "A" * 392
    records = records_for(
        "x.example", relay="relay.example", dkim=[("s", text, "active")], return_path_host=None
    )
    (key,) = (record for record in records if record.name == "s._domainkey.x.example")
    assert text == key.value
    assert key.zone_line == f's._domainkey.x.example. IN TXT "{text[:255]}" "{text[255:]}"'


def test_a_return_path_host_gets_its_own_mx_and_spf() -> None:
    records = records_for(
        "x.example", relay="relay.example", dkim=[], return_path_host="back.x.example"
    )
    lines = [record.zone_line for record in records]
    assert "back.x.example. IN MX 10 relay.example." in lines
    assert 'back.x.example. IN TXT "v=spf1 a:relay.example -all"' in lines
