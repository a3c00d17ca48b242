"""The dashboards: what each page shows, and where its JSON is.

PYTHONPATH=tests python -m monitoring.dashboards
"""

# ruff: noqa: E501 -- a panel is a line

from pathlib import Path

from monitoring.panels import Dashboard, Panel, Query, Row, Variable

FOLDER = Path(__file__).parents[2] / "deploy/grafana/dashboards"
LANES = ("very-high", "high", "normal", "low", "bulk")


def here(**matchers: str) -> str:
    """Of the installations that the reader chose; "~" before a pattern, "!" before what is not."""
    chosen = {"namespace": "~$namespace", **matchers}
    return "{" + ", ".join(f"{label}{_matcher(value)}" for label, value in chosen.items()) + "}"


def _matcher(value: str) -> str:
    sign = {"~": "=~", "!": "!="}.get(value[:1], "=")
    return f'{sign}"{value.lstrip("~!")}"'


def rate(metric: str, *by: str, **matchers: str) -> str:
    """How much *metric* grows in a second, in sum or *by* labels."""
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({metric}{here(**matchers)}[$__rate_interval]))"


def quantile(share: float, metric: str, *by: str, **matchers: str) -> str:
    """What *share* of the observations of a histogram do not exceed."""
    growth = f"rate({metric}_bucket{here(**matchers)}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({', '.join((*by, 'le'))}) ({growth}))"


def rates(title: str, metric: str, label: str, *, meaning: str = "") -> Panel:
    """A line for each value of *label*."""
    lines = (Query(rate(metric, label), f"{{{{{label}}}}}"),)
    return Panel(title, lines, unit="ops", meaning=meaning)


def one(title: str, expr: str, unit: str = "short", *, meaning: str = "") -> Panel:
    """A number."""
    return Panel(title, (Query(expr, ""),), unit, "stat", meaning)


def lines(title: str, expr: str, legend: str, unit: str = "short", *, meaning: str = "") -> Panel:
    """A graph of one query."""
    return Panel(title, (Query(expr, legend),), unit, meaning=meaning)


def _lane(name: str) -> Row:
    ages = f"max by (state) (posthouse:queue_oldest_seconds:max{here(stage='delivery', lane=name)})"
    queue = f"sum by (state) (posthouse:queue_messages:max{here(stage='delivery', lane=name)})"
    flow = (
        Query(f"sum (posthouse:messages_received:rate5m{here(lane=name)})", "accepted"),
        Query(
            f"sum by (result) (posthouse:delivery_attempts:rate5m{here(lane=name)})", "{{result}}"
        ),
    )
    waits = (
        Query(quantile(0.5, "posthouse_queue_time_seconds", lane=name), "half"),
        Query(quantile(0.95, "posthouse_queue_time_seconds", lane=name), "95 %"),
    )
    return Row(
        f"Lane {name}",
        (
            lines("Oldest", ages, "{{state}}", "s"),
            lines("Waiting", queue, "{{state}}"),
            Panel("In and out", flow, "ops"),
            Panel("From accepted to the first attempt", waits, "s"),
        ),
        height=6,
    )


_BOUNCED = "sum (rate(posthouse_delivery_attempts_total" + here(result="bounced") + "[30m]))"
_ATTEMPTS = f"sum (rate(posthouse_delivery_attempts_total{here()}[30m]))"
_COMPLAINTS = (
    f"sum (increase(posthouse_returns_total{here(kind='complaint', verdict='!not_believed')}[6h]))"
)
_DELIVERED = f"sum (increase(posthouse_delivery_attempts_total{here(result='delivered')}[6h]))"

OVERVIEW = Dashboard(
    "overview",
    "Overview",
    (
        Row(
            "Now",
            (
                one("Oldest that is due", f"max (posthouse:queue_oldest_seconds:max{here(stage='delivery', state='ready')})", "s"),
                one("Due", f"sum (posthouse:queue_ready:sum{here()})"),
                one("Accepted", f"sum (posthouse:messages_received:rate5m{here()})", "ops"),
                one("Delivered", f"sum (posthouse:delivery_attempts:rate5m{here(result='delivered')})", "ops"),
                one("In quarantine", f"sum (posthouse:queue_messages:max{here(state='quarantined')}) or vector(0)"),
                one("Alerts", 'count (ALERTS{alertname=~"Posthouse.*", alertstate="firing"}) or vector(0)'),
            ),
            height=4,
        ),
        *map(_lane, LANES),
        Row(
            "Preparation",
            (
                lines("Oldest, accepted and not prepared", f"max by (lane, state) (posthouse:queue_oldest_seconds:max{here(stage='policy')})", "{{lane}} {{state}}", "s"),
                rates("Prepared", "posthouse_policy_messages_total", "outcome"),
                lines("Due in two hours, at this pace", f"predict_linear(posthouse:queue_ready:sum{here()}[30m], 7200)", "due"),
            ),
        ),
    ),
)  # fmt: skip

_PROVIDER = "~$provider"


def _share(result: str) -> str:
    part = f"sum by (provider) (posthouse:provider_attempts:rate15m{here(provider=_PROVIDER, result=result)})"
    return f"{part} / sum by (provider) (posthouse:provider_attempts:rate15m{here(provider=_PROVIDER)})"


DELIVERY = Dashboard(
    "delivery",
    "Delivery by destination",
    (
        Row(
            "Providers",
            (
                lines("Attempts", f"sum by (provider) (posthouse:provider_attempts:rate15m{here(provider=_PROVIDER)})", "{{provider}}", "ops"),
                lines("Share deferred", _share("deferred"), "{{provider}}", "percentunit"),
                lines("Share bounced", _share("bounced"), "{{provider}}", "percentunit"),
            ),
        ),
        Row(
            "Answers",
            (
                lines("Failures by what the answer means", rate("posthouse_provider_failures_total", "class", provider=_PROVIDER), "{{class}}", "ops"),
                lines("Attempts by result", rate("posthouse_delivery_attempts_total", "result"), "{{result}}", "ops"),
                rates("TLS", "posthouse_tls_outbound_total", "version"),
            ),
        ),
        Row(
            "Time",
            (
                lines("Phases, half of all", quantile(0.5, "posthouse_delivery_phase_seconds", "phase"), "{{phase}}", "s"),
                lines("Phases, 95 %", quantile(0.95, "posthouse_delivery_phase_seconds", "phase"), "{{phase}}", "s"),
                lines("Attempts, 95 %", quantile(0.95, "posthouse_delivery_duration_seconds", "lane"), "{{lane}}", "s"),
            ),
        ),
        Row(
            "Dispatchers",
            (
                lines("In flight", f"sum by (state) (posthouse_deliveries_in_flight{here()})", "{{state}}"),
                lines("Destinations at a limit", f"sum by (provider, state) (posthouse_sites_limited{here(provider=_PROVIDER)})", "{{provider}} {{state}}"),
                lines("Parked, since their site is full", f"sum by (lane) (posthouse:queue_messages:max{here(state='parked')})", "{{lane}}"),
                lines("Waiting for a higher lane", rate("posthouse_lane_paused_seconds_total", "lane", "by"), "{{lane}} for {{by}}", "percentunit"),
                lines("Claims without a result", rate("posthouse_deliveries_abandoned_total"), "abandoned", "ops"),
            ),
        ),
    ),
    (Variable("provider", "posthouse_provider_attempts_total"),),
)  # fmt: skip

DOOR = Dashboard(
    "door",
    "Door",
    (
        Row(
            "Messages",
            (
                rates("Accepted by lane", "posthouse_messages_received_total", "lane"),
                rates("Refused", "posthouse_messages_rejected_total", "reason"),
                Panel(
                    "From the content to the answer",
                    (
                        Query(quantile(0.5, "posthouse_receive_duration_seconds"), "half"),
                        Query(quantile(0.95, "posthouse_receive_duration_seconds"), "95 %"),
                    ),
                    "s",
                ),
            ),
        ),
        Row(
            "Clients",
            (
                lines("Sessions", f"sum by (listener) (posthouse_smtp_sessions{here()})", "{{listener}}"),
                lines("Commands", rate("posthouse_smtp_commands_total", "verb", "code_class"), "{{verb}} {{code_class}}", "ops"),
                lines("Logins", rate("posthouse_smtp_auth_total", "mechanism", "result"), "{{mechanism}} {{result}}", "ops"),
            ),
        ),
        Row(
            "HTTP",
            (
                lines("Requests", rate("posthouse_http_requests_total", "route", "code_class"), "{{route}} {{code_class}}", "ops"),
                lines("From request to answer, 95 %", quantile(0.95, "posthouse_http_request_duration_seconds", "route"), "{{route}}", "s"),
                rates("Callers", "posthouse_http_auth_total", "result"),
            ),
        ),
        Row(
            "Turned away",
            (
                rates("Connections", "posthouse_connections_refused_total", "limit"),
                rates("Logins limited", "posthouse_logins_limited_total", "limit"),
                rates("Above a rate", "posthouse_rate_exceeded_total", "action"),
                rates("Handshakes that failed", "posthouse_tls_inbound_failures_total", "reason"),
                lines("Certificates expire in", f"min by (use) (posthouse_certificate_expiry_timestamp_seconds{here()}) - time()", "{{use}}", "s"),
            ),
        ),
    ),
)  # fmt: skip

REPUTATION = Dashboard(
    "reputation",
    "Returned mail and reputation",
    (
        Row(
            "Shares",
            (
                one("Bounced, of attempts of 30 minutes", f"{_BOUNCED} / {_ATTEMPTS}", "percentunit"),
                one("Complaints, of mail delivered within six hours", f"({_COMPLAINTS} or vector(0)) / {_DELIVERED}", "percentunit"),
                one("Accounts held", f"max by (by) (posthouse_accounts_held{here()})"),
                one("Suppressed, a second", rate("posthouse_policy_suppressed_recipients_total"), "ops"),
            ),
            height=4,
        ),
        Row(
            "Returned",
            (
                rates("By kind", "posthouse_returns_total", "kind"),
                rates("By what came of it", "posthouse_returns_total", "verdict"),
                rates("Refused", "posthouse_returns_refused_total", "reason"),
                rates("Feedback that is not believed", "posthouse_feedback_not_believed_total", "reason"),
            ),
        ),
        Row(
            "Said at once",
            (
                lines("Failures by what the answer means", rate("posthouse_provider_failures_total", "class"), "{{class}}", "ops"),
                lines("Expired", rate("posthouse_delivery_attempts_total", "lane", result="expired"), "{{lane}}", "ops"),
                rates("Signatures verified", "posthouse_policy_verified_messages_total", "result"),
            ),
        ),
        Row(
            "People",
            (
                lines("Opens and clicks", rate("posthouse_visits_total", "kind", "verdict"), "{{kind}} {{verdict}}", "ops"),
                lines("Unsubscribing", rate("posthouse_unsubscribes_total", "form", "result"), "{{form}} {{result}}", "ops"),
                rates("Messages of ours", "posthouse_notices_total", "means"),
            ),
        ),
    ),
)  # fmt: skip

PLATFORM = Dashboard(
    "platform",
    "Platform",
    (
        Row(
            "Programs",
            (
                lines("Versions", f"count by (version) (posthouse_build_info{here()})", "{{version}}"),
                lines("CPU", f"sum by (instance, worker) (rate(process_cpu_seconds_total{here(job='~(.*/)?posthouse.*')}[$__rate_interval]))", "{{instance}} {{worker}}", "percentunit"),
                lines("Memory", f"sum by (instance, worker) (process_resident_memory_bytes{here(job='~(.*/)?posthouse.*')})", "{{instance}} {{worker}}", "bytes"),
                lines("Event loop late, 95 %", quantile(0.95, "posthouse_event_loop_lag_seconds", "instance", "worker"), "{{instance}} {{worker}}", "s"),
            ),
        ),
        Row(
            "PostgreSQL",
            (
                lines("Connections", f"sum by (pool, state) (posthouse_database_connections{here()})", "{{pool}} {{state}}"),
                rates("Statements that had to wait for one", "posthouse_database_connection_waits_total", "pool"),
                lines("Housekeeping: since it was last done", f"time() - max by (duty) (posthouse_housekeeping_last_success_timestamp_seconds{here()})", "{{duty}}", "s"),
                rates("Housekeeping that failed", "posthouse_housekeeping_failures_total", "duty"),
            ),
        ),
        Row(
            "RabbitMQ",
            (
                lines("Connected", f"min by (instance) (posthouse_amqp_connected{here()})", "{{instance}}"),
                rates("Hints received", "posthouse_amqp_hints_received_total", "topic"),
                rates("Hints dropped", "posthouse_amqp_hints_dropped_total", "topic"),
            ),
        ),
        Row(
            "Events",
            (
                lines("Readers behind", f"min by (reader) (posthouse_event_feed_lag_seconds{here()})", "{{reader}}", "s"),
                lines("Webhooks: waiting", f"sum by (state) (posthouse_webhook_backlog_events{here()})", "{{state}}"),
                rates("Webhooks: requests", "posthouse_webhook_deliveries_total", "result"),
                lines("Opens and clicks that wait", f"sum (posthouse_visits_waiting{here()})", "waiting"),
            ),
        ),
        Row(
            "Trouble",
            (
                lines("Log lines lost", rate("posthouse_log_lines_dropped_total"), "lost", "ops"),
                lines("Workers replaced", f"sum (increase(posthouse_worker_restarts_total{here()}[1h]))", "replaced"),
                lines("Open files", f"max by (instance, worker) (process_open_fds{here(job='~(.*/)?posthouse.*')})", "{{instance}} {{worker}}"),
            ),
        ),
    ),
)  # fmt: skip

DASHBOARDS = (OVERVIEW, DELIVERY, DOOR, REPUTATION, PLATFORM)

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(dashboard.text())
