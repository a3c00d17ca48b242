"""What DNS says of an installation with which nothing is wrong."""

NAME, ADDRESS = "relay.example.com", "198.51.100.7"
PTR = ("7.100.51.198.in-addr.arpa", "PTR")
BLOCKLIST = "list.example.net"
LISTED = (f"7.100.51.198.{BLOCKLIST}", "A")  # not in the zone


def healthy_zone() -> dict[tuple[str, str], tuple[str, ...]]:
    """The zone that a name server of tests answers from."""
    return {
        (NAME, "A"): (ADDRESS,),
        (NAME, "MX"): (f"10 {NAME}.",),
        (NAME, "TXT"): ('"v=spf1 a -all"',),
        PTR: (f"{NAME}.",),
    }
