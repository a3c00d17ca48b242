"""The message as it goes over the wire: what must never leave, and dot-stuffing."""


def flaw(header: bytes, body: bytes) -> str | None:
    """Why this message must not leave, or None.

    A bare CR, a bare LF or a NUL lets a receiver see another end of data than we do (SMTP
    smuggling), so each may only occur as CRLF or not at all (RFC 5321 section 2.3.8).
    """
    for part in (header, body):
        if _has_bare_line_end(part):
            return "it holds a bare CR or LF"
        if b"\0" in part:
            return "it holds a NUL"
    if not header.endswith(b"\r\n"):
        return "its header does not end with a line end"
    return None


def _has_bare_line_end(part: bytes) -> bool:
    # splitlines() ends a line at CRLF, CR and LF alike, so putting CRLF back between the lines
    # gives the same length only if nothing else was there: half the price of counting each.
    end = 2 if part.endswith(b"\r\n") else 0
    if not end and part.endswith((b"\r", b"\n")):
        return True
    return len(b"\r\n".join(part.splitlines())) + end != len(part)


def on_the_wire(header: bytes, body: bytes) -> tuple[bytes, ...]:
    """The chunks to send after 354: header, body and final dot (RFC 5321 section 4.5.2).

    *header* ends with a line end; nothing is copied unless a line begins with a dot.
    """
    end = b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n"
    return _stuffed(header), _stuffed(body), end


def _stuffed(part: bytes) -> bytes:
    # Both parts begin at the start of a line. Searching backwards takes half the time.
    if part.rfind(b"\r\n.") >= 0:
        part = part.replace(b"\r\n.", b"\r\n..")
    return b"." + part if part.startswith(b".") else part
