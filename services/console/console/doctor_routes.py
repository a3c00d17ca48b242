"""What the doctor found, for keys of the operator (0048)."""

from collections.abc import Iterator

from msgspec import Struct

from console.call import Call, ConsoleRoute, as_json
from posthouse.doctor.check_result import CheckResult
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse
from posthouse.mail.permission import Permission
from posthouse.store.examinations import Examination, ExaminationStore


class ResultOfCheck(Struct, frozen=True):
    """What one check found of one subject."""

    check: str
    subject: str
    state: str  # right, advice, wrong, unknown
    seen: str
    why: str
    mend: str


class LookFromPlace(Struct, frozen=True):
    """The last look from one place."""

    program: str
    host: str
    examined_at: str
    results: list[ResultOfCheck]


class LooksFromPlaces(Struct, frozen=True):
    """Those of all places that looked within the last day."""

    places: list[LookFromPlace]


class DoctorRoutes:
    """Reads what was found within the last hour: a request makes nobody look."""

    def __init__(self, store: ExaminationStore) -> None:
        self._store = store

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        about = About(
            "Tell what the doctor found of the whole installation, from each place that looks.",
            ((200, "What was found.", LooksFromPlaces),),
        )
        yield ConsoleRoute("GET", "/v1/doctor", Permission.READ_INSTALLATION, self.newest, about)

    async def newest(self, _: Call) -> HttpResponse:
        """The last look from each place."""
        return as_json(LooksFromPlaces([_place(one) for one in await self._store.newest()]))


def _place(one: Examination) -> LookFromPlace:
    at = one.examined_at.isoformat()
    return LookFromPlace(one.program, one.host, at, [_result(found) for found in one.results])


def _result(one: CheckResult) -> ResultOfCheck:
    state = one.state.value
    return ResultOfCheck(one.check.value, one.subject, state, one.seen, one.why, one.mend)
