"""Mail of every profile, each in its own dialect: what it costs beside mail of `native`."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from bench.children import POSTHOUSE, answer
from bench.load_session import Door
from bench.onebox import Onebox
from bench.scenarios.stage import Criterion, Stage
from bench.systems import DOMAIN, make_credential

_MESSAGES = 1_500  # in a block
_BLOCKS = 4  # of each profile in a round: they take turns
_MOST_TIMES = 1.3
_NATIVE = "native"


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How the load is written for a profile; nothing of it is tracked."""

    fields: tuple[str, ...] = ()  # more of the header
    knobs: tuple[str, ...] = ()  # changed, so that all profiles get the same load


_MAILING = "4711"  # the code of a mailing
_CLEAR = "session.require_tls=false"
_UNTRACKED = ("tracking.opens=false", "tracking.clicks=false")
_ATTRIBUTES = '{"campaign_id": "spring", "tags": ["news", "spring"], "metadata": {"order": 4711}}'
_OPERATORS = (
    f"stream create mailing --code {_MAILING}",
    "account set default --bounce-address returned@else.example",
)
_DIALECTS: Mapping[str, _Dialect] = {
    _NATIVE: _Dialect(),
    "critsend": _Dialect(
        ("X-tag: news, spring",), (*_UNTRACKED, f"sender.signed_by=signed@{DOMAIN}")
    ),
    "maxemail": _Dialect(("X-Mxm-Tag: news, spring", "X-Mxm-Flags: 4"), (*_UNTRACKED, _CLEAR)),
    "mailup": _Dialect(("X-Priority: 5",), _UNTRACKED),
    "mailtarget": _Dialect((f"X-MT-ATTR: {_ATTRIBUTES}",), _UNTRACKED),
    "episerver": _Dialect((f"X-bm-mailing: {_MAILING}",), (*_UNTRACKED, _CLEAR)),
}


class Profiles:
    """CPU of a delivery; one connection kind, one listener, one domain for all profiles."""

    name: ClassVar[str] = "profiles"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name,)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = stage.scaled(_MESSAGES)
        self._doors: dict[str, Door] = {}
        self.criteria: Mapping[str, Criterion] = {
            **{
                f"{name}_times": Criterion(
                    f"CPU of a delivery of the profile {name}, times native's", _MOST_TIMES, 2
                )
                for name in _DIALECTS
                if name != _NATIVE
            },
            **{
                f"{name}_cpu": Criterion(f"... CPU ms of a delivery of {name}", digits=3)
                for name in _DIALECTS
            },
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * (len(_DIALECTS) * _BLOCKS * (self._messages / 800 + 3) + 15)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        seconds: dict[str, float] = defaultdict(float)
        deliveries: Counter[str] = Counter()
        names = list(_DIALECTS)
        async with self._stage.running(self._system) as receiving:
            await self._make_doors()
            for block in range(_BLOCKS):
                first = (number + block) % len(names)  # none is always behind the same one
                for name in names[first:] + names[:first]:
                    plan = replace(
                        self._stage.plan(self._system, self._messages),
                        door=self._doors[name],
                        fields=_DIALECTS[name].fields,
                    )
                    phase = await self._stage.phase(self._system, receiving, plan, name)
                    seconds[name] += phase.system_seconds
                    deliveries[name] += len(phase.arrived)
        each = {name: seconds[name] * 1000 / deliveries[name] for name in names}
        return {
            **{f"{name}_cpu": cpu for name, cpu in each.items()},
            **{f"{name}_times": cpu / each[_NATIVE] for name, cpu in each.items()},
        }

    async def _make_doors(self) -> None:
        """A user of each profile; the account has one of its own where knobs are changed."""
        system = self._system
        assert isinstance(system, Onebox)
        if self._doors:
            return
        for operators in _OPERATORS:
            await answer((POSTHOUSE, *operators.split()), system.environment)
        for name, dialect in _DIALECTS.items():
            used = name
            if dialect.knobs:
                used = f"bench-{name}"
                changed = [word for knob in dialect.knobs for word in ("--set", knob)]
                own = (POSTHOUSE, "profile", "create", used, "--from", name, *changed)
                await answer(own, system.environment)
            self._doors[name] = await make_credential(system.door.port, system.environment, used)
