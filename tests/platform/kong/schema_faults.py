"""Judges Kong's configuration by the schemas of Kong 3.9's plugins and of decK."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

_SCHEMAS = Path(__file__).parents[1] / "schemas"


def document_faults(document: dict[str, Any]) -> list[str]:
    """Returns what decK finds wrong with a declarative configuration."""
    schema = json.loads((_SCHEMAS / "deck" / "kong_json_schema.json").read_text(encoding="utf-8"))
    return _messages(schema, document)


def plugin_faults(name: str, config: dict[str, Any], protocols: list[str]) -> list[str]:
    """Returns what is wrong with a plugin's configuration, options it does not know included.

    Raises OSError where Kong 3.9 has no such plugin.
    """
    return _messages(_plugin(name), {"config": config, "protocols": protocols})


def plugins(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields every plugin of a declarative configuration, wherever it stands."""
    yield from document.get("plugins", [])
    for service in document["services"]:
        yield from service.get("plugins", [])
        for route in service["routes"]:
            yield from route.get("plugins", [])


def _messages(schema: dict[str, Any], value: Any) -> list[str]:
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in validator.iter_errors(value)
    ]


@functools.cache
def _plugin(name: str) -> dict[str, Any]:
    file = "".join(word.capitalize() for word in name.split("-"))
    path = _SCHEMAS / "kong-plugin-schemas-3.9" / f"{file}.json"
    schema: dict[str, Any] = _closed(json.loads(path.read_text(encoding="utf-8")))
    return schema


def _closed(schema: Any) -> Any:
    """Returns the schema with no room for what it does not name."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in closed and isinstance(closed["properties"], dict):
        closed.setdefault("additionalProperties", False)
    return closed
