"""Problems: what a client is told when a request is not carried out (RFC 9457)."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

import msgspec
from msgspec import Struct

from posthouse.http.http_response import HttpResponse


class Kind(StrEnum):
    """The closed list of problems; each is a fragment of the page that explains them."""

    BAD_REQUEST = "bad-request"
    INVALID = "invalid"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    SENDER = "sender"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    KEY_TAKEN = "key-taken"
    TOO_LARGE = "too-large"
    TOO_MANY = "too-many"
    UNAVAILABLE = "unavailable"


KINDS: Mapping[Kind, str] = {
    Kind.BAD_REQUEST: "The request cannot be read, or lacks what each has to have.",
    Kind.INVALID: "A value cannot be what it is: the pointer says which (RFC 6901).",
    Kind.REFUSED: "A rule of your profile refuses the message.",
    Kind.UNAUTHORIZED: "The user or its secret is missing or wrong.",
    Kind.FORBIDDEN: "This user may not do so.",
    Kind.SENDER: "This user may not send as this sender.",
    Kind.NOT_FOUND: "There is nothing here, or no such message of your account or user.",
    Kind.CONFLICT: "It is too late: the message is not scheduled any more.",
    Kind.KEY_TAKEN: "Another message was accepted under this idempotency key.",
    Kind.TOO_LARGE: "The message or the request has more octets than is allowed.",
    Kind.TOO_MANY: "A rate limit is used up, logins failed too often, or too many requests of this"
    " user are being answered: see Retry-After.",
    Kind.UNAVAILABLE: "Not now: try again later, under the same idempotency key.",
}


class ProblemBody(Struct, frozen=True, omit_defaults=True):
    """Why a request was not carried out."""

    type: str
    title: str
    status: int
    detail: str
    pointer: str | None = None
    code: str | None = None


class Problem(Exception):
    """A request is not carried out, and why."""

    def __init__(
        self,
        status: int,
        kind: Kind,
        detail: str,
        *,
        pointer: str | None = None,
        code: str | None = None,
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """*pointer*: to what is wrong in the body (RFC 6901); *code*: as SMTP has it (RFC 3463)."""
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.pointer = pointer
        self.code = code
        self.fields = fields

    @property
    def body(self) -> ProblemBody:
        """As application/problem+json has it."""
        title, kind = HTTPStatus(self.status).phrase, f"/v1/docs#{self.kind}"
        return ProblemBody(kind, title, self.status, self.detail, self.pointer, self.code)


def problem_response(problem: Problem) -> HttpResponse:
    """The answer that tells *problem*."""
    body = msgspec.json.encode(problem.body)
    return HttpResponse(problem.status, body, "application/problem+json", problem.fields)


AGAIN = (("retry-after", "1"),)


def fault() -> Problem:
    """We made a mistake."""
    return Problem(503, Kind.UNAVAILABLE, "Internal fault, try again later", fields=AGAIN)
