"""What is asked of both gateways, what each makes of it, and in what that differs."""

import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request, and what the backend answers."""

    method: str
    target: str
    """Path and query, encoded."""
    body: bytes = b""
    answer: bytes | None = None
    """The response message; the request itself where it is None."""
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.target} {self.body.decode(errors='backslashreplace')}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a gateway made of a request."""

    status: int
    rpc: str | None
    """The method it called, as `/pkg.Service/Method`; None for no call."""
    message: Any
    """The request message it sent; its bytes where they are none."""
    json: Any
    """Its answer; None if it is not JSON."""
    body: bytes

    @property
    def is_called(self) -> bool:
        """Says whether the request reached the backend."""
        return self.rpc is not None


def differences(ours: Outcome, envoys: Outcome, part: str | None = None) -> list[str]:
    """Says in what two outcomes differ; a refusal's text does not count.

    `part` is the member of Envoy's answer that ours is, by the binding's `response_body`.
    """
    found: list[str] = []
    if ours.status != envoys.status:
        found.append(f"status {ours.status}, not {envoys.status}")
    if ours.rpc != envoys.rpc:
        found.append(f"calls {ours.rpc}, not {envoys.rpc}")
    elif not _same_message(ours.message, envoys.message):
        found.append(f"sends {ours.message}, not {envoys.message}")
    if not found and ours.status == HTTPStatus.OK:
        whole = envoys.json
        if part is None:
            found += _json_differences(ours.json, whole, "")
        elif part in whole:
            found += _json_differences(ours.json, whole[part], part)
    return found


def _same_message(ours: Any, envoys: Any) -> bool:
    wires = [
        each
        if each is None or isinstance(each, bytes)
        else each.SerializeToString(deterministic=True)
        for each in (ours, envoys)
    ]
    # Messages with a NaN in them are never equal.
    return wires[0] == wires[1]


def _json_differences(ours: Any, envoys: Any, at: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(envoys, dict):
        if ours.keys() != envoys.keys():
            return [f"{at}: {sorted(ours)}, not {sorted(envoys)}"]
        inside = [_json_differences(ours[name], envoys[name], f"{at}.{name}") for name in ours]
    elif isinstance(ours, list) and isinstance(envoys, list) and len(ours) == len(envoys):
        pairs = enumerate(zip(ours, envoys, strict=True))
        inside = [_json_differences(one, other, f"{at}[{n}]") for n, (one, other) in pairs]
    elif _is_number(ours) and _is_number(envoys):
        return [] if _same_number(ours, envoys) else [f"{at}: {ours}, not {envoys}"]
    else:
        return [] if ours == envoys else [f"{at}: {ours!r}, not {envoys!r}"]
    return [each for some in inside for each in some]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_number(ours: float, envoys: float) -> bool:
    """Compares what numbers are read as: the digits that a float needs are not one text."""
    if ours == envoys:
        return True
    try:
        exactly, roughly = (struct.unpack("<f", struct.pack("<f", n))[0] for n in (ours, envoys))
    except OverflowError:
        return False
    return bool(ours == exactly == roughly)
