"""The records that a domain publishes, as a zone, a form and a delegation want them."""

import dns.rdatatype
import dns.zone

from posthouse.domains.setup_records import (
    GOOGLE_SPF,
    DomainSetup,
    PublishedKey,
    RecordPurpose,
    RelayHosts,
    own_records,
    records_for,
    zone_file,
)
from posthouse.mail.selectors import slots
from posthouse.profiles.choices import Onboarding

LONG = "v=DKIM1; k=rsa; p=" + "A" * 392
KEY = PublishedKey("ph1-rsa", "rsa-sha256", LONG, "active")
RELAY = RelayHosts("relay.example", "relay.example", "relay.example")


def setup(
    name: str = "x.example",
    onboarding: Onboarding = Onboarding.RECORDS,
    *,
    key_zone: str | None = None,
    host: str | None = None,
    relay: RelayHosts = RELAY,
) -> DomainSetup:
    return DomainSetup(name, onboarding, (KEY,), slots("rsa-sha256"), key_zone, host, relay)


def lines(wanted: DomainSetup) -> list[str]:
    return [record.zone_line for record in records_for(wanted)]


def test_C19_a_bind_example_with_one_spf_record_and_one_dkim_record() -> None:
    zone = dns.zone.from_text(
        "\n".join(["@ IN SOA ns. p. 1 2 3 4 5", "@ IN NS ns.", *lines(setup())]), origin="x.example"
    )
    texts = [
        (name.to_text(), b"".join(getattr(text, "strings", ())).decode())
        for name, _, text in zone.iterate_rdatas(dns.rdatatype.TXT)
    ]
    assert sorted(texts) == [
        ("@", "v=spf1 a:relay.example ~all"),
        ("_dmarc", "v=DMARC1; p=none"),
        ("ph1-rsa._domainkey", LONG),
    ]


def test_C19_google_workspace_names_both_and_is_one_record() -> None:
    relay = RelayHosts("relay.example", "relay.example", "relay.example", "spf.relay.example")
    for published in ((), ("v=spf1 include:_spf.google.com ~all",)):
        records = records_for(setup(relay=relay), published, GOOGLE_SPF)
        (spf,) = (record.value for record in records if record.purpose is RecordPurpose.SPF)
        assert spf == "v=spf1 include:_spf.google.com include:spf.relay.example ~all"


def test_long_keys_are_split_for_the_zone_file_and_offered_split_for_forms() -> None:
    (key,) = (record for record in records_for(setup()) if record.purpose is RecordPurpose.DKIM)
    assert key.value == LONG
    split = f'"{LONG[:255]}" "{LONG[255:]}"'
    assert key.zone_line == f"ph1-rsa._domainkey.x.example. IN TXT {split}"
    assert f"value  {LONG}" in key.form_lines
    assert key.form_lines[-1] == split
    (short,) = (record for record in records_for(setup()) if record.purpose is RecordPurpose.SPF)
    assert short.form_lines == (
        "type   TXT",
        "name   x.example",
        "value  v=spf1 a:relay.example ~all",
    )


def test_a_return_path_host_gets_its_own_mx_and_spf() -> None:
    shown = lines(setup(host="back.x.example"))
    assert "back.x.example. IN MX 10 relay.example." in shown
    assert 'back.x.example. IN TXT "v=spf1 a:relay.example -all"' in shown
    (mx,) = (r for r in records_for(setup(host="back.x.example")) if r.type == "MX")
    assert mx.form_lines[-2:] == ("prio   10", "value  relay.example")


def test_a_domain_that_is_its_own_return_path_host_has_one_spf_record() -> None:
    spf = [line for line in lines(setup(host="x.example")) if "v=spf1" in line]
    assert spf == ['x.example. IN TXT "v=spf1 a:relay.example ~all"']


def test_T26_dkim_by_cname_leads_to_a_zone_of_ours_from_both_selectors() -> None:
    wanted = setup(key_zone="dkim.relay.example")
    shown = [line for line in lines(wanted) if "_domainkey" in line]
    assert shown == [
        f"ph{n}-rsa._domainkey.x.example. IN CNAME ph{n}-rsa.x.example.dkim.relay.example."
        for n in (1, 2)
    ]
    (own,) = own_records(wanted)
    assert (own.name, own.type, own.value) == (
        "ph1-rsa.x.example.dkim.relay.example",
        "TXT",
        LONG,
    )


def test_E03_a_delegated_domain_publishes_ns_and_we_have_its_whole_zone() -> None:
    relay = RelayHosts(
        "relay.example",
        "relay.example",
        "relay.example",
        None,
        ("ns1.op.example", "ns2.op.example"),
    )
    wanted = setup("news.x.example", Onboarding.DELEGATION, host="news.x.example", relay=relay)
    assert lines(wanted) == [f"news.x.example. IN NS ns{n}.op.example." for n in (1, 2)]

    zone = dns.zone.from_text(zone_file(wanted, 7), origin="news.x.example", check_origin=True)
    found = {
        (n.to_text(), dns.rdatatype.to_text(data.rdtype)) for n, data in zone.iterate_rdatasets()
    }
    assert found == {
        ("@", "SOA"),
        ("@", "NS"),
        ("@", "TXT"),
        ("@", "MX"),
        ("ph1-rsa._domainkey", "TXT"),
    }
    assert len(zone.find_rdataset("@", "NS")) == 2
    assert len(zone.find_rdataset("@", "TXT")) == 1
