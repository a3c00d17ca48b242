"""The HTTP door: the same mail as by SMTP, given as JSON or as it is (RULES C07)."""
