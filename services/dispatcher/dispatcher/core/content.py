"""The message as it goes over the wire: what must never leave, and dot-stuffing."""


def flaw(header: bytes, body: bytes) -> str | None:
    """Why this message must not leave, or None.

    A bare CR, a bare LF or a NUL lets a receiver see another end of data than we do (SMTP
    smuggling), so each may only occur as CRLF or not at all (RFC 5321 section 2.3.8).
    """
    for part in (header, body):
        line_ends = part.count(b"\r\n")
        if part.count(b"\n") != line_ends or part.count(b"\r") != line_ends:
            return "it holds a bare CR or LF"
        if b"\0" in part:
            return "it holds a NUL"
    if not header.endswith(b"\r\n"):
        return "its header does not end with a line end"
    return None


def on_the_wire(header: bytes, body: bytes) -> tuple[bytes, ...]:
    """The chunks to send after 354: header, body and final dot (RFC 5321 section 4.5.2).

    *header* ends with a line end; nothing is copied unless a line begins with a dot.
    """
    end = b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n"
    return _stuffed(header), _stuffed(body), end


def _stuffed(part: bytes) -> bytes:
    # Both parts begin at the start of a line.
    if b"\r\n." in part:
        part = part.replace(b"\r\n.", b"\r\n..")
    return b"." + part if part.startswith(b".") else part
