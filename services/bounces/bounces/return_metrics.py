"""What is counted at the bounce port."""

from prometheus_client import Counter

REFUSED = Counter(
    "posthouse_returns_refused_total",
    "Returned messages refused at the bounce port, by reason",
    ["reason"],
)
