"""Judges objects by the CustomResourceDefinitions under `schemas`, as an API server would.

A field that the schema does not know is a fault, which an API server would drop with a warning.
Rules in CEL are not run here: `make check-cluster` has a real API server for them.
"""

import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_SCHEMAS = Path(__file__).parent / "schemas"

Schema = dict[str, Any]


def faults(manifest: Schema) -> list[str]:
    """Returns what is wrong with an object. Raises KeyError where no definition knows its kind."""
    schema = _schema(manifest["apiVersion"], manifest["kind"])
    if schema is None:
        raise KeyError(manifest["kind"])
    name = manifest["metadata"]["name"]
    return [
        f"{manifest['kind']}/{name}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    ]


def is_known(manifest: Schema) -> bool:
    """Tells whether a definition knows the kind."""
    return _schema(manifest["apiVersion"], manifest["kind"]) is not None


@functools.cache
def _schema(api_version: str, kind: str) -> Schema | None:
    group, _, version = api_version.rpartition("/")
    for path in sorted(_SCHEMAS.glob("*/*.yaml")):
        text = path.read_text(encoding="utf-8")
        # Reading all of them takes seconds.
        if f"  group: {group}\n" in text and f"\n    kind: {kind}\n" in text:
            spec = yaml.load(text, Loader=yaml.CSafeLoader)["spec"]
            known = {each["name"]: each["schema"] for each in spec["versions"]}
            schema = _strict(known[version]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
            return schema
    return None


def _strict(schema: Schema) -> Schema:
    """Returns the schema as JSON Schema has it, with Kubernetes' extensions followed."""
    strict = {
        key: value
        for key, value in schema.items()
        if not key.startswith("x-kubernetes-") and key not in ("nullable", "format", "properties")
    }
    if "properties" in schema:
        strict["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties", "not"):
        if isinstance(strict.get(key), dict):
            strict[key] = _strict(strict[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in strict:
            strict[key] = [_without_strictness(each) for each in strict[key]]
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
        strict.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if schema.get("nullable") and "type" in strict:
        strict["type"] = [strict["type"], "null"]
    return strict


def _without_strictness(schema: Schema) -> Schema:
    """Returns what a branch of a choice says; the fields it leaves out are the whole's."""
    return {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
