"""All services in one process, and the `posthouse` command."""
