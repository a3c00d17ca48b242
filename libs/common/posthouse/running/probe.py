"""Is the service on this host ready? Exit status 0 or 1, for container health checks."""

import sys
import urllib.error
import urllib.request

_SECONDS = 5


def main(url: str = "http://127.0.0.1:9180/healthz/ready") -> int:
    """0 when *url* answers 200; otherwise what it said goes to standard error."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS):  # noqa: S310 -- an http URL by default
            return 0
    except urllib.error.HTTPError as error:
        sys.stderr.write(error.read().decode(errors="replace") + "\n")
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
