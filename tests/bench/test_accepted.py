"""The arithmetic and the table of the ways in, on figures made up."""

from dataclasses import replace

import pytest
from bench.accepted import JSON, RAW, SMTP, Accepted, Run, faults, raw_times, run_of, table
from bench.figures import Sent

RUN = Run(
    per_second=1000.0,
    cpu_ms=0.6,
    front_cpu_ms=0.2,
    p50=10.0,
    p99=20.0,
    load_cpu_ms=0.1,
    refused=0,
)
OURS = Accepted(SMTP, "SMTP", "posthouse", "Posthouse", "Posthouse 1", (RUN, RUN))
POSTFIX = replace(
    OURS, system="postfix", title="Postfix", runs=(replace(RUN, cpu_ms=2.0, front_cpu_ms=2.0),)
)


def test_a_run_is_counted_from_its_first_submission_to_its_last_reply() -> None:
    sent = [Sent(str(n), 100.0 + n, 100.1 + n, accepted=n != 3) for n in range(4)]
    run = run_of(sent, [0.002, 0.006], load=0.001)
    assert 3 / 3.1 == pytest.approx(run.per_second)
    assert (2.0, 0.5, 0.25) == pytest.approx((run.cpu_ms, run.front_cpu_ms, run.load_cpu_ms))
    assert (100.0, 100.0) == pytest.approx((run.p50, run.p99))
    assert 1 == run.refused


def test_the_table_has_a_row_for_each_way_into_each_system_with_the_ratio_to_postfix() -> None:
    raw = replace(OURS, way=RAW, label="HTTP")
    rows = [row[:5] for row in table([OURS, POSTFIX, raw])]
    assert ["SMTP: Posthouse", "1,000 (1,000-1,000)", "0.60 (0.60-0.60)", "0.30x"] == rows[1][:4]
    assert ["SMTP: Postfix", "1,000", "2.00", "", ""] == rows[2]
    assert "" == rows[3][3]


def test_mail_as_it_is_by_http_is_compared_with_smtp_within_each_run() -> None:
    raw = replace(OURS, way=RAW, runs=(replace(RUN, front_cpu_ms=0.25), RUN))
    assert (1.25, 1.0) == pytest.approx(raw_times([OURS, raw]))
    assert () == raw_times([OURS, replace(raw, way=JSON)])
    assert () == raw_times([replace(OURS, system="aiosmtpd"), raw])


def test_a_refused_message_is_a_fault() -> None:
    bad = replace(OURS, runs=(RUN, replace(RUN, refused=2)))
    assert ["Posthouse, SMTP, run 2: 2 refused"] == list(faults([POSTFIX, bad]))
