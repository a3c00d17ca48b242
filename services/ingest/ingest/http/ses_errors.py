"""Errors in the form in which programs for Amazon SES, version 2, know them (REST-JSON)."""

from http import HTTPStatus
from uuid import uuid4

import msgspec
from msgspec import Struct

from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem

REQUEST_ID = "x-amzn-requestid"

# Status and name. Programs have a class of exceptions for those that SendEmail is said to give.
_BY_KIND = {
    Kind.BAD_REQUEST: (400, "BadRequestException"),
    Kind.INVALID: (400, "BadRequestException"),
    Kind.REFUSED: (400, "MessageRejected"),
    Kind.SENDER: (400, "MessageRejected"),  # as Amazon does, and not as it is documented
    Kind.UNAUTHORIZED: (403, "InvalidSignatureException"),
    Kind.FORBIDDEN: (403, "AccessDeniedException"),
    Kind.NOT_FOUND: (404, "NotFoundException"),
    Kind.CONFLICT: (409, "ConflictException"),
    Kind.KEY_TAKEN: (400, "BadRequestException"),
    Kind.TOO_LARGE: (413, "RequestEntityTooLargeException"),
    Kind.TOO_MANY: (429, "TooManyRequestsException"),
    Kind.UNAVAILABLE: (503, "ServiceUnavailable"),
}


_KNOWN = "Of the operations of Amazon SES there are SendEmail and GetAccount here"


class SesError(Struct, frozen=True):
    """Why a request was not carried out."""

    message: str


class NamedProblem(Problem):
    """One for which Amazon has a name of its own."""

    def __init__(self, name: str, status: int, detail: str) -> None:
        super().__init__(status, Kind.BAD_REQUEST, detail)
        self.name = name


def ses_response(problem: Problem) -> HttpResponse:
    """The answer that tells *problem*."""
    status, name = _BY_KIND[problem.kind]
    if isinstance(problem, NamedProblem):
        status, name = problem.status, problem.name
    text = f"{problem.pointer}: {problem.detail}" if problem.pointer else problem.detail
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        status, name, text = problem.status, "UnknownOperationException", _KNOWN
    own = (("x-amzn-errortype", name), (REQUEST_ID, str(uuid4())))
    more = (one for one in problem.fields if one[0] != "www-authenticate")  # to sign is another way
    return HttpResponse(status, msgspec.json.encode(SesError(text)), fields=(*own, *more))
