"""Gathers the facts that `posthouse.doctor` judges: from database, broker, DNS, files, network."""
