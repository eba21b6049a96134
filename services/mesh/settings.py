"""Settings from the environment and from mounted files.

    value   := SOUK_<FIELD> | the content of the file SOUK_<FIELD>_FILE | the field's default
    list    := item ("," item)*                          tuple[str, ...]
    map     := name "=" item ("," name "=" item)*        dict[str, str]
    span    := number ("ms" | "s" | "m" | "h" | "d")     timedelta, like "500ms" or "10m"

A service's settings are one frozen dataclass that inherits `MeshSettings`; it is read once.
"""

import dataclasses
import os
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

PREFIX = "SOUK_"

_S = TypeVar("_S")


class SettingsError(Exception):
    """Settings that cannot be used; `faults` has one line for each of them."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Secret:
    """A value that shows itself only when asked by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; the one place where it leaves."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


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
    `max_concurrency`: how many calls are served at once at most; under load it becomes less.
    `drain_wait`: how long it still serves after it said it is not ready, so that no new call comes;
    `drain_grace`: how long running calls then may take.
    """

    listen: str = "127.0.0.1:50051"
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
    trace_ratio: float = 0.1
    max_concurrency: int = 1000
    drain_wait: timedelta = timedelta(seconds=1)
    drain_grace: timedelta = timedelta(seconds=10)


def load(cls: type[_S], environ: Mapping[str, str] = os.environ) -> _S:
    """Read every field of the dataclass `cls` from `environ`.

    Raises SettingsError with every fault at once: what is missing, what cannot be read, and what
    `cls.__post_init__` refuses by a ValueError or a SettingsError.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(cls)
    for each in dataclasses.fields(cls):  # type: ignore[arg-type]  # a dataclass, by contract
        name = PREFIX + each.name.upper()
        try:
            text = _text(name, environ)
            if text is not None:
                values[each.name] = _convert(hints[each.name], text)
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


def _text(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the text of a setting; an empty one counts as not given."""
    file = environ.get(name + "_FILE")
    if file and environ.get(name):
        raise ValueError(f"{name}_FILE is given too; give one of them")
    if file:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    return environ.get(name) or None


def _convert(hint: Any, text: str) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
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
    return timedelta(**{_UNITS[parts[2]]: float(parts[1])})


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
