"""Settings: frozen models read once from the environment, every mistake reported at once.

A service's settings are one class built from the parts below (`class IngestSettings(Common,
WithDatabase)`). A field `database_url` is the variable POSTHOUSE_DATABASE_URL; a field of a secret
type (SecretStr, SecretBytes, Secret[...]) may instead be given as POSTHOUSE_DATABASE_URL_FILE, the
path of a file that holds it. An empty variable counts as not set.
"""

import difflib
import re
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Secret, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "POSTHOUSE_"

# Under our prefix, but not ours to judge: the test suite's own switches, and what Kubernetes
# injects for a Service whose name begins with "posthouse".
_NOT_A_SETTING = re.compile(
    r"POSTHOUSE_(TEST_\w+|REQUIRE_SERVERS|(\w+_)?SERVICE_(HOST|PORT(_\w+)?)"
    r"|(\w+_)?PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)"
)
_KUBERNETES_LINK = re.compile(r"(tcp|udp)://")


class SettingsError(Exception):
    """The settings cannot be used; the text names every mistake, one a line."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class UnquotedMistake(ValueError):
    """A mistake in a value that may hold a secret: reports leave the value out."""


class Settings(BaseSettings):
    """The settings of a program, read once. Constructing one by hand reads no environment."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        enable_decoding=False,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the values from `load`, so that pydantic does not read the environment itself."""
        _ = settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


Model = TypeVar("Model", bound=Settings)


def load(
    model: type[Model],
    environ: Mapping[str, str],
    *,
    also_known: Callable[[], Collection[str]] = frozenset,
) -> Model:
    """Read *model* from *environ*; SettingsError lists every mistake by variable name.

    *also_known* gives names (see `names`) that other programs of the product read from a shared
    environment: they are no mistake here. It is asked only when there is a name to judge.
    """
    source = _Environ(model, environ)
    values = source()
    mistakes = [*source.mistakes, *_unknown(environ, names(model), also_known)]
    try:
        settings = model(**values)
    except ValidationError as error:
        found = (_mistake(model, detail) for detail in error.errors(include_url=False))
        # A secret whose file could not be read is reported as that, not as missing too.
        mistakes += [text for name, text in found if name not in source.unusable]
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return settings


def names(model: type[Settings]) -> frozenset[str]:
    """Every variable that *model* reads, the *_FILE forms of its secrets included."""
    plain = {_variable(field) for field in model.model_fields}
    secret = {_variable(name) for name, field in model.model_fields.items() if _is_secret(field)}
    return frozenset(plain | {f"{name}_FILE" for name in secret})


@dataclass(frozen=True, slots=True)
class Described:
    """One setting, for the reference page and for `config check`."""

    variable: str
    doc: str
    default: str | None  # None: has to be given; "": nothing, or made at start as the doc says
    secret: bool  # may also be given as *_FILE; never shown


def describe(model: type[Settings]) -> tuple[Described, ...]:
    """The settings of *model*, in the order they are declared."""
    return tuple(
        Described(
            variable=_variable(name),
            doc=" ".join((field.description or "").split()),
            default=_default(field),
            secret=_is_secret(field),
        )
        for name, field in model.model_fields.items()
    )


def effective(settings: Settings) -> dict[str, str]:
    """Variable and value, secrets masked; of a secret URL all but the password stays readable."""
    return {
        _variable(name): _shown(getattr(settings, name)) for name in type(settings).model_fields
    }


class _Environ(PydanticBaseSettingsSource):
    """A mapping of variables as a source, with NAME_FILE for secrets; collects what is wrong."""

    def __init__(self, model: type[Settings], environ: Mapping[str, str]) -> None:
        super().__init__(model)
        self._environ = environ
        self.mistakes: list[str] = []
        self.unusable: set[str] = set()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = _variable(field_name)
        value = self._environ.get(name) or None
        path = self._environ.get(f"{name}_FILE") if _is_secret(field) else None
        if path and value is not None:
            self._unusable(name, f"{name} and {name}_FILE are both set: give one of them")
        elif path:
            value = self._read(name, Path(path))
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        given = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in given.items() if value is not None}

    def _read(self, name: str, path: Path) -> str | None:
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not text"
            self._unusable(name, f"{name}_FILE is {str(path)!r}: cannot be read ({reason})")
            return None
        if not text:
            self._unusable(name, f"{name}_FILE is {str(path)!r}: the file is empty")
        return text or None

    def _unusable(self, name: str, mistake: str) -> None:
        self.unusable.add(name)
        self.mistakes.append(mistake)


def _variable(field_name: str) -> str:
    return PREFIX + field_name.upper()


def _is_secret(field: FieldInfo) -> bool:
    return _mentions_secret(field.annotation)


def _mentions_secret(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Secret | SecretStr | SecretBytes):
        return True
    return any(_mentions_secret(part) for part in typing.get_args(annotation))


def _unknown(
    environ: Mapping[str, str], own: Collection[str], also_known: Callable[[], Collection[str]]
) -> list[str]:
    strangers = sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name not in own
        and not _NOT_A_SETTING.fullmatch(name)
        and not _KUBERNETES_LINK.match(value)
    )
    if not strangers:
        return []
    known = {*own, *also_known()}
    return [
        f"{name} is not a setting{_suggestion(name, known)}"
        for name in strangers
        if name not in known
    ]


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f": is {close[0]} meant?" if close else ""


def _mistake(model: type[Settings], detail: ErrorDetails) -> tuple[str, str]:
    """The variable at fault, and a sentence: what was seen, what is allowed."""
    if not detail["loc"]:
        return "", detail["msg"].removeprefix("Value error, ")
    field_name = str(detail["loc"][0])
    name, field = _variable(field_name), model.model_fields[field_name]
    if detail["type"] == "missing":
        return name, f"{name} is not set: {' '.join((field.description or '').split())}"
    allowed = detail["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
    hidden = _is_secret(field) or isinstance(detail.get("ctx", {}).get("error"), UnquotedMistake)
    seen = "" if hidden else f" is {detail['input']!r}"
    return name, f"{name}{seen}: {allowed}"


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    # A made default differs by machine: the field's own sentence says what it is.
    return "" if field.default_factory is not None else _shown(field.default)


def _shown(value: object) -> str:
    match value:
        case SecretStr():
            return _masked(value.get_secret_value())
        case Secret() | SecretBytes():
            return "********"
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple() | list() | set() | frozenset():
            return ",".join(_shown(item) for item in value)
        case _:
            return str(value)


def _masked(secret: str) -> str:
    """Of a URL everything but password and options; of anything else nothing."""
    parts = urlsplit(secret)
    if not parts.scheme or not parts.netloc:
        return "********"
    user, at, host = parts.netloc.rpartition("@")
    shown_user = user.partition(":")[0] + (":********" if ":" in user else "")
    return f"{parts.scheme}://{shown_user}{at}{host}{parts.path}"
