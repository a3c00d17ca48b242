"""The store: PostgreSQL keeps what a 250 promised."""
