"""How a service runs: settings, logs, metrics, health, signals, drain."""
