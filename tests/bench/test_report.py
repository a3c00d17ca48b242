"""The benchmark's arithmetic, its table and its picture, on figures made up."""

import re
from dataclasses import fields, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import dkim
import msgspec
import pytest
from bench.figures import Arrived, Figures, Phase, Sent, Work, figures, percentile
from bench.measuring import signature_fault
from bench.picture import picture
from bench.program import keep
from bench.report import (
    Found,
    Machine,
    Measured,
    Origin,
    Results,
    as_markdown,
    as_text,
    measures,
    notes,
    ratio,
    scenario_table,
    table,
    whole,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

NOTHING_WRONG = Figures(
    accepted_per_second=1000.0,
    delivered_per_second=800.0,
    cpu_ms=1.5,
    load_cpu_ms=0.05,
    sink_cpu_ms=0.06,
    other_cores=0.1,
    peak_mb=150.0,
    accept_p50=10.0,
    accept_p99=40.0,
    through_p50=100.0,
    through_p99=400.0,
    paced_accept_p50=2.0,
    paced_accept_p99=4.0,
    paced_through_p50=5.0,
    paced_through_p99=9.0,
    paced_cpu_ms=2.0,
    refused=0,
    lost=0,
    duplicates=0,
)


def runs(*delivered: float) -> tuple[Figures, ...]:
    return tuple(replace(NOTHING_WRONG, delivered_per_second=rate) for rate in delivered)


def results(*systems: Measured, missing: dict[str, str] | None = None) -> Results:
    return Results(ORIGIN, Work(), systems, not_measured=missing or {})


ORIGIN = Origin(
    "2026-01-02T03:04:05+00:00",
    "abc1234567",
    "python -m bench",
    Machine("A <fast> one", 2, "Linux 6.1", "3.11.7", "cgroup v2 cpu.stat"),
)
ONEBOX = Measured("onebox", "Posthouse, onebox", "Posthouse 1", runs(1200.0, 900.0, 1000.0))
POSTFIX = Measured("postfix", "Postfix + OpenDKIM", "postfix 3", runs(400.0, 500.0, 300.0))
SLOW = Found("lanes", "split", "... accept p99, ms", (40.0, 70.0, 60.0), 50.0, 1)
QUICK = replace(SLOW, form="onebox", values=(50.0,))


def phase(sent: list[Sent], arrived: list[Arrived], **other: float) -> Phase:
    seconds = {
        "system_seconds": 0.004,
        "sink_seconds": 0.002,
        "load_seconds": 0.001,
        "other_seconds": 0.5,
        "seconds": 2.0,
    }
    return Phase(sent, arrived, [], **{**seconds, **other}, peak_octets=3 << 20)


def one_after_the_other(count: int, first: int = 0) -> tuple[list[Sent], list[Arrived]]:
    """A message a second from second 100 on; accepted after 0.1 s, at the sink after 0.3 s."""
    numbers = range(first, first + count)
    return (
        [Sent(str(n), 100.0 + n, 100.1 + n, accepted=True) for n in numbers],
        [Arrived(str(n), 100.2 + n, 100.3 + n) for n in numbers],
    )


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.995, 100.0), (1.0, 100.0)]
)
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert expected == percentile([float(n) for n in range(100, 0, -1)], share)


def test_a_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 0.5) == 0.0


def test_rates_run_from_the_first_connection_to_the_last_reply_and_the_last_arrival() -> None:
    found = figures(phase(*one_after_the_other(4)), phase(*one_after_the_other(2, first=4)))
    assert 4 / 3.1 == pytest.approx(found.accepted_per_second)
    assert 4 / 3.3 == pytest.approx(found.delivered_per_second)
    assert (100.0, 100.0) == pytest.approx((found.accept_p50, found.accept_p99))
    assert (300.0, 300.0) == pytest.approx((found.paced_through_p50, found.paced_through_p99))
    assert (1.0, 2.0) == pytest.approx((found.cpu_ms, found.paced_cpu_ms))
    assert (0.25, 0.5, 0.25) == (found.load_cpu_ms, found.sink_cpu_ms, found.other_cores)
    assert found.peak_mb == 3.0
    assert found.faultless


def test_lost_doubled_and_refused_messages_are_counted_in_both_phases() -> None:
    sent, arrived = one_after_the_other(4)
    closed = phase(sent, [*arrived[:2], arrived[0], arrived[0]])
    sent, arrived = one_after_the_other(3, first=4)
    paced = phase([replace(sent[0], accepted=False), *sent[1:]], arrived[1:])
    found = figures(closed, paced)
    assert (1, 2, 2) == (found.refused, found.lost, found.duplicates)
    assert not found.faultless


def test_a_message_is_to_come_once_for_each_of_its_recipients() -> None:
    sent, arrived = one_after_the_other(3)
    none = phase(*one_after_the_other(1, first=3))
    found = figures(
        phase(sent, arrived * 2), replace(none, arrived=[*none.arrived] * 2), recipients=2
    )
    assert (0, 0) == (found.lost, found.duplicates)
    found = figures(phase(sent, [*arrived, *arrived[:1] * 2]), none, recipients=2)
    assert (3, 1) == (found.lost, found.duplicates)


def test_logs_of_the_sink_and_the_load_generator_are_read() -> None:
    assert Sent("7", 1.5, 2.5, accepted=True) == Sent.read("1.5\t2.5\t250\t7\t0\t1\ta@b.example")
    assert not Sent.read("1.5\t2.5\t451\t7\t0\t1\ta@b.example").accepted
    assert Arrived("7", 1.5, 2.5, 10240) == Arrived.read("1.5\t2.5\ttaken\t7\t10240\ta@b.example")


def test_ratios_are_of_medians() -> None:
    assert ratio(ONEBOX, POSTFIX, "delivered_per_second") == 2.5
    assert ratio(POSTFIX, POSTFIX, "delivered_per_second") is None
    assert ratio(ONEBOX, None, "delivered_per_second") is None


def test_the_table_shows_medians_spread_and_ratios() -> None:
    rows = table(results(ONEBOX, POSTFIX))
    assert ["Posthouse, onebox", "Postfix + OpenDKIM"] == rows[0][1:]
    (delivered,) = (row for row in rows if row[0].startswith("delivered"))
    assert ["1,000 (900-1,200) 2.50x", "400 (300-500)"] == delivered[1:]
    (sink,) = (row for row in rows if "the sink" in row[0])
    assert ["0.060 (0.060-0.060)", "0.060 (0.060-0.060)"] == sink[1:]
    assert ["0, 0, 0", "0, 0, 0"] == rows[-1][1:]


def test_without_postfix_there_are_no_ratios_and_it_is_said_loudly() -> None:
    found = results(replace(ONEBOX, runs=ONEBOX.runs[:1]), missing={"Postfix + OpenDKIM": "no apt"})
    assert ["median (lowest-highest)", "Posthouse, onebox"] == table(found)[0]
    assert table(found)[2][1] == "1,200"
    assert "NOT MEASURED: Postfix + OpenDKIM: no apt" in set(notes(found))


def test_a_criterion_holds_when_its_median_is_within_the_limit() -> None:
    found = replace(results(), scenarios=(SLOW, QUICK, replace(QUICK, limit=None)))
    rows = scenario_table(found)
    assert ["split", "60.0 (40.0-70.0)", "50", "NO"] == rows[1][1:]
    assert ["onebox", "50.0", "50", "yes"] == rows[2][1:]
    assert ["onebox", "50.0", "", ""] == rows[3][1:]
    over = [line for line in notes(found) if line.startswith("OVER ITS LIMIT")]
    assert over == ["OVER ITS LIMIT: lanes, split: accept p99, ms: 60.0 (40.0-70.0), at most 50"]


def test_a_rehearsal_is_called_one() -> None:
    found = replace(results(), scenarios=(QUICK,), scale=0.01)
    assert any("REHEARSAL" in line for line in notes(found))
    assert not any("REHEARSAL" in line for line in notes(replace(found, scale=1.0)))


def test_the_report_names_the_python_and_says_loudly_when_it_was_built_without_optimisation() -> (
    None
):
    def told(machine: Machine) -> list[str]:
        return list(notes(replace(results(), origin=replace(ORIGIN, machine=machine))))

    distribution = replace(ORIGIN.machine, interpreter="/usr/bin/python3.11")
    assert "Python 3.11.7 (/usr/bin/python3.11, optimised)." in told(distribution)[1]
    slow = told(replace(distribution, optimised=False))
    assert "(/usr/bin/python3.11, not optimised)." in slow[1]
    assert any(line.startswith("NOT OPTIMISED") for line in slow)
    assert not any("optimised" in line.lower() for line in told(ORIGIN.machine))


def test_what_was_not_measured_has_no_table() -> None:
    assert "delivered" not in whole(replace(results(), scenarios=(QUICK,)), as_text)
    assert "at most" not in whole(results(ONEBOX), as_text)


def test_a_run_with_faults_fails_the_comparison() -> None:
    bad = replace(NOTHING_WRONG, lost=1, duplicates=2)
    found = results(replace(ONEBOX, runs=(NOTHING_WRONG, bad)))
    fault = "Posthouse, onebox, run 2: 0 refused, 1 lost, 2 duplicates"
    assert (fault,) == found.faults
    assert f"FAILED: {fault}" in set(notes(found))
    assert not results(ONEBOX).faults
    assert replace(results(ONEBOX), failed=("no start",)).faults == ("no start",)


def test_every_figure_has_a_row() -> None:
    shown = {measure.name for measure in measures(Work())}
    assert {field.name for field in fields(Figures)} - shown == {"refused", "lost", "duplicates"}


def test_text_is_aligned_and_markdown_is_a_table() -> None:
    rows = table(results(ONEBOX, POSTFIX))
    lines = as_text(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    marked = as_markdown(rows).splitlines()
    assert marked[1] == "| --- | ---: | ---: |"
    assert {4} == {line.count("|") for line in marked}


def test_what_is_kept_can_be_read_again(tmp_path: Path) -> None:
    found = replace(results(ONEBOX, POSTFIX), scenarios=(SLOW, QUICK))
    path = keep(found, tmp_path / "new")
    assert path.name == "2026-01-02T030405.json"
    assert found == msgspec.json.decode(path.read_bytes(), type=Results)
    assert " 2.50x |" in path.with_suffix(".md").read_text()
    assert path.with_suffix(".svg").read_text().startswith("<svg")


def test_the_picture_is_svg_that_fits_light_and_dark_and_says_what_it_shows() -> None:
    drawn = picture(results(POSTFIX, ONEBOX))
    root = ET.fromstring(drawn)  # noqa: S314 -- our own
    space = "{http://www.w3.org/2000/svg}"
    bars = root.findall(f"{space}rect")
    assert ["ours", "other", "ours", "other"] == [bar.get("class") for bar in bars]
    whiskers = root.findall(f"{space}path")
    assert {"spread"} == {whisker.get("class") for whisker in whiskers}
    assert len(whiskers) == 4
    assert float(bars[1].get("width", 0)) == pytest.approx(
        float(bars[0].get("width", 0)) * 0.4, abs=0.1
    )
    texts = [text.text for text in root.findall(f"{space}text")]
    assert "1,000  (2.50 times)" in texts
    assert any("A <fast> one" in (text or "") for text in texts)
    assert "prefers-color-scheme: dark" in drawn
    assert "Posthouse, onebox 1,000" in (root.findtext(f"{space}title") or "")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", drawn)


def test_signatures_are_held_to_what_is_compared() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    text = b"From: a@bench.example\r\nSubject: x\r\n\r\nbody\r\n"

    def signed(canonical: bytes) -> bytes:
        return bytes(
            dkim.sign(text, b"s", b"bench.example", private, canonicalize=(canonical, canonical))
        )

    good = signed(b"relaxed")
    assert signature_fault(good + text, record) == ""
    assert "0 DKIM" in signature_fault(text, record)
    assert "2 DKIM" in signature_fault(good + good + text, record)
    assert "does not verify" in signature_fault(good + text + b"more\r\n", record)
    assert "relaxed/relaxed" in signature_fault(signed(b"simple") + text, record)
