"""JSON Schema for what a chart's values may set of a service's settings."""

import dataclasses
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from services.mesh import setting_bounds
from services.mesh.setting_bounds import Bounds
from services.mesh.settings import PREFIX, MeshSettings, Secret, kind_of

SET_BY_THE_CHART = frozenset(
    {
        *("listen", "probe_listen", "metrics_listen"),
        *("tls", "tls_ca", "tls_cert", "tls_key"),
        *("drain_wait", "drain_grace"),
    }
)
"""Settings that are no values: the chart knows its ports, files and grace periods."""

SET_BY_THE_PROCESS = frozenset({"worker"})
"""What the gateway tells the processes that it starts."""

_SPAN = {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"}
# Helm's patterns know no look-ahead.
_SOME_SPAN = {
    "type": "string",
    "pattern": r"^(\d*[1-9]\d*(\.\d+)?|\d+\.\d*[1-9]\d*)(ms|s|m|h|d)$",
}
_TYPES: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Path: {"type": "string"},
    tuple: {"type": "array", "items": {"type": "string"}},
    dict: {"type": "object", "additionalProperties": {"type": "string"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field: its type, what it is without a value, whether it needs one, and its bounds."""

    name: str
    type: Any
    default: object
    is_required: bool
    bounds: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of a service's settings: those of the mesh, its own, and what can be a secret.

    Everything can be, but for what is the mesh's: a user name may come with its password.
    """

    mesh: tuple[Setting, ...]
    own: tuple[Setting, ...]
    secret: frozenset[str]


def fields(service: str) -> Fields:
    """Returns what the process `service` can be told by its chart."""
    cls = _settings(service)
    mesh = [each for each in _of(MeshSettings) if each.name not in SET_BY_THE_CHART]
    inherited = {each.name for each in _of(MeshSettings)}
    own = [each for each in _of(cls) if each.name not in inherited | SET_BY_THE_PROCESS]
    return Fields(
        mesh=tuple(mesh),
        own=tuple(each for each in own if each.type is not Secret),
        secret=frozenset(each.name for each in own),
    )


def values(settings: Iterable[Setting]) -> dict[str, Any]:
    """Returns the schema of an object with these settings and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {each.name: _schema(each) for each in settings},
    }


def _schema(setting: Setting) -> dict[str, Any]:
    variable = f"{PREFIX}{setting.name.upper()}"
    default = "required" if setting.is_required else f"{_text(setting.default)} if not set"
    return {"description": f"{variable}: {default}.", **_type(setting.type, setting.bounds)}


def _type(kind: Any, bounds: Bounds) -> dict[str, Any]:
    if typing.get_origin(kind) is Literal:
        return {"enum": list(typing.get_args(kind))}
    if kind is timedelta:
        return _SPAN if bounds.allows_zero else _SOME_SPAN
    if kind in {int, float}:
        least = {"minimum": 0} if bounds.allows_zero else {"exclusiveMinimum": 0}
        most = {} if math.isinf(bounds.most) else {"maximum": bounds.most}
        return {**_TYPES[kind], **least, **most}
    return _TYPES[typing.get_origin(kind) or kind]


def _text(default: object) -> str:
    match default:
        case timedelta():
            return f"{default.total_seconds():g}s"
        case tuple():
            return ",".join(default) or "empty"
        case None | "":
            return "empty"
        case Mapping():
            return "empty"
        case _ if default is dataclasses.MISSING:
            return "made at the start"
        case _:
            return str(default)


def _of(cls: type) -> list[Setting]:
    hints, bounds = typing.get_type_hints(cls), setting_bounds.of(cls)
    return [
        Setting(
            name=each.name,
            type=kind_of(hints[each.name]),
            default=_default(each),
            is_required=each.default is dataclasses.MISSING
            and each.default_factory is dataclasses.MISSING,
            bounds=bounds[each.name],
        )
        for each in dataclasses.fields(cls)
    ]


def _default(each: "dataclasses.Field[Any]") -> object:
    return {} if each.default_factory is dict else each.default


def _settings(service: str) -> type:
    """Returns the dataclass; the gateway is named alone, since services do not know it.

    Raises ValueError for a service without one.
    """
    module, name = (
        ("gateway.settings", "GatewaySettings")
        if service == "gateway"
        else (f"services.{service}.settings", "Settings")
    )
    try:
        cls: type = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        path = f"{module.replace('.', '/')}.py"
        raise ValueError(f"{path} is missing, which says what {service} can be told") from None
    return cls
