"""Settings from the environment and from mounted files.

    value   := SOUK_<FIELD> | the content of the file SOUK_<FIELD>_FILE | the field's default
    list    := item ("," item)*                          tuple[str, ...]
    map     := name "=" item ("," name "=" item)*        dict[str, str]
    span    := number ("ms" | "s" | "m" | "h" | "d")     timedelta, like "500ms" or "10m"

Numbers and spans are above zero, unless their field says otherwise (`setting_bounds`).
A service's settings are one frozen dataclass that inherits `MeshSettings`; it is read once. Only a
Secret that a file gives follows that file: `reveal` gives what is in force now.
"""

import dataclasses
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from services.mesh import setting_bounds
from services.mesh.setting_bounds import Share, ZeroOrMore
from services.mesh.watched_files import WatchedFiles

PREFIX = "SOUK_"

GRPC_PORT = 50051
"""Where a process serves gRPC, and where others reach it, unless they are told otherwise."""

_S = TypeVar("_S")


class SettingsError(Exception):
    """Settings that cannot be used; `faults` has one line for each of them."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Secret:
    """A value that shows itself only when asked by name, at the moment it is needed.

    One that a file gives changes with the file, as long as somebody follows it (`secrets_of`).
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # it may change

    def __init__(self, value: str | WatchedFiles[str]) -> None:
        self._value = value

    @property
    def is_followed(self) -> bool:
        """Whether it comes from a file, and may change."""
        return not isinstance(self._value, str)

    def reveal(self) -> str:
        """Return the value; the one place where it leaves."""
        return self._value if isinstance(self._value, str) else self._value.value

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` on the loop whenever the value has changed."""
        if not isinstance(self._value, str):
            self._value.on_change(call)

    def files(self) -> Iterable[WatchedFiles[str]]:
        """Return what is to be followed so that it changes."""
        return () if isinstance(self._value, str) else (self._value,)

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """What every process of the mesh can be told.

    `listen`: where it serves gRPC. `probe_listen`: plaintext gRPC health, for probes that speak no
    TLS. `metrics_listen`: `/metrics` over HTTP; none if not given. Port 0 takes a free one.
    `tls`: "mtls", or "off", which is refused anywhere but on loopback.
    `targets`: where other services are, by name; a name not listed is `dns:///<name>:50051`.
    `edge_services`: who faces people and may bring their access tokens.
    `token_issuer`, `token_audience`: the `iss` and `aud` that access tokens must have.
    `jwks_method`: the RPC that answers with the keys of access tokens.
    `reload_period`: how often files of secrets, certificates and keys are looked at for changes.
    `max_concurrency`: how many calls are served at once at most; under load it becomes less.
    `max_streams_per_caller`: how many streams one person, or one address, may have open.
    `drain_wait`: how long it still serves after it said it is not ready, so that no new call comes;
    `drain_grace`: how long running calls then may take.
    """

    listen: str = f"127.0.0.1:{GRPC_PORT}"
    probe_listen: str = "127.0.0.1:0"
    metrics_listen: str | None = None
    tls: Literal["mtls", "off"] = "mtls"
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    targets: dict[str, str] = field(default_factory=dict)
    edge_services: tuple[str, ...] = ("gateway", "developer")
    token_issuer: str = "https://souk.local"  # noqa: S105  # a name, not a secret
    token_audience: str = "souk"  # noqa: S105  # likewise
    jwks_method: str = "/souk.user.v1.UserService/GetJwks"
    log_format: Literal["console", "json"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    trace_ratio: Share = 0.1
    reload_period: timedelta = timedelta(seconds=5)
    max_concurrency: int = 1000
    max_streams_per_caller: int = 100
    drain_wait: ZeroOrMore[timedelta] = timedelta(seconds=1)
    drain_grace: ZeroOrMore[timedelta] = timedelta(seconds=10)


def load(cls: type[_S], environ: Mapping[str, str] = os.environ) -> _S:
    """Read every field of the dataclass `cls` from `environ`.

    Raises SettingsError with every fault at once: what is missing, what cannot be read, and what
    `cls.__post_init__` refuses by a ValueError or a SettingsError.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    hints, bounds = typing.get_type_hints(cls), setting_bounds.of(cls)
    for each in dataclasses.fields(cls):  # type: ignore[arg-type]  # a dataclass, by contract
        name = PREFIX + each.name.upper()
        try:
            value = _value(name, hints[each.name], environ)
            if value is not None:
                bounds[each.name].check(value)
                values[each.name] = value
            elif _required(each):
                faults.append(f"{name} is required")
        except (ValueError, OSError) as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise SettingsError(faults)
    try:
        return cls(**values)
    except ValueError as error:
        raise SettingsError([str(error)]) from error


def _required(each: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return each.default is missing and each.default_factory is missing


def secrets_of(values: object) -> list[WatchedFiles[str]]:
    """Return the files of all secrets in a dataclass of settings, to be followed."""
    held = (getattr(values, each.name) for each in dataclasses.fields(values))  # type: ignore[arg-type]  # likewise
    return [file for value in held if isinstance(value, Secret) for file in value.files()]


def _value(name: str, hint: Any, environ: Mapping[str, str]) -> Any:
    """Return the value of a setting; an empty one counts as not given."""
    file = environ.get(name + "_FILE")
    if file and environ.get(name):
        raise ValueError(f"{name}_FILE is given too; give one of them")
    if not file:
        text = environ.get(name)
        return _convert(hint, text) if text else None
    path = Path(file)
    if kind_of(hint) is Secret:
        return Secret(WatchedFiles([path], lambda: _content(path)))
    return _convert(hint, _content(path))


def _content(path: Path) -> str:
    text = path.read_text(encoding="utf-8").rstrip("\r\n")
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def kind_of(hint: Any) -> Any:
    """Return what an optional value is if it is there: `str` of `str | None`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return hint


def _convert(hint: Any, text: str) -> Any:
    hint = kind_of(hint)
    if typing.get_origin(hint) is Literal:
        return _choice(typing.get_args(hint), text)
    return _CONVERTERS[typing.get_origin(hint) or hint](text)


def _choice(choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise ValueError(f"{text!r} is none of {', '.join(choices)}")
    return text


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _span(text: str) -> timedelta:
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if parts is None:
        raise ValueError(f"{text!r} is no duration like 500ms, 5s, 10m, 72h or 3d")
    try:
        return timedelta(**{_UNITS[parts[2]]: float(parts[1])})
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than can be counted") from error


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _map(text: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in _list(text)]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ValueError(f"{name + equals + value!r} is no name=value")
    return {name.strip(): value.strip() for name, _, value in pairs}


_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CONVERTERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: _bool,
    Path: Path,
    timedelta: _span,
    tuple: _list,
    dict: _map,
    Secret: Secret,
}
