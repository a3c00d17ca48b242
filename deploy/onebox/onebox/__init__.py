"""The whole relay in one group of processes, with a PostgreSQL of its own: `posthouse up`."""
