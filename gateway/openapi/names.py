"""Gives operations, tags and components names that are short and their own.

A generated client makes its functions, modules and types of these names, so they are as people say
them, `createOrder` and `Order`, and only what would be ambiguous is longer.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.transcoding.bindings import Binding

_SCHEMAS: Final = "#/components/schemas/"


def tags(bindings: Iterable[Binding]) -> dict[str, str]:
    """Names a tag for each service by its full name."""
    services = sorted({binding.method.service for binding in bindings})
    return _shortened({service: service.rpartition(".")[2] for service in services})


def operation_ids(bindings: Sequence[Binding]) -> list[str]:
    """Names the operation of each binding.

    The first binding of a method has the method's name, with its service's where another service
    has such a method; further ones say what the path binds: `getUser`, `getUserByUserId`. What is
    named alike still is numbered, in the order of the contract.
    """
    tag_of = tags(bindings)
    named = _shortened(
        {
            f"{tag_of[method.service]}.{method.name}": method.name
            for method in (binding.method for binding in bindings)
        }
    )
    used: Counter[str] = Counter()
    seen: set[str] = set()
    ids: list[str] = []
    for binding in bindings:
        full = f"{tag_of[binding.method.service]}.{binding.method.name}"
        name = _lower_first(_joined(named[full]))
        if full in seen:
            name += _by(binding)
        seen.add(full)
        used[name] += 1
        ids.append(name if used[name] == 1 else f"{name}{used[name]}")
    return ids


def with_short_components(document: dict[str, Any]) -> dict[str, Any]:
    """Renames the schemas, which are under full names, to the name in their package."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    short = _shortened({full: _without_package(full) for full in schemas})
    renamed: dict[str, Any] = _with_references(document, short)
    renamed["components"]["schemas"] = {
        short[full]: schema
        for full, schema in sorted(
            renamed["components"]["schemas"].items(), key=lambda pair: short[pair[0]]
        )
    }
    return renamed


def _with_references(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_with_references(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    copied = {key: _with_references(value, names) for key, value in node.items()}
    target = copied.get("$ref")
    if isinstance(target, str) and target.startswith(_SCHEMAS):
        copied["$ref"] = _SCHEMAS + names[target.removeprefix(_SCHEMAS)]
    return copied


def _shortened(short_of: Mapping[str, str]) -> dict[str, str]:
    """Takes the short name of each full one, unless two would share it."""
    # Without regard to case: generators make file names of them.
    count = Counter(short.lower() for short in short_of.values())
    return {full: short if count[short.lower()] == 1 else full for full, short in short_of.items()}


def _without_package(full_name: str) -> str:
    """Takes what begins with a capital: `shop.v1.Order.Line` is `Order.Line`."""
    parts = full_name.split(".")
    first = next((at for at, part in enumerate(parts) if part[:1].isupper()), len(parts) - 1)
    return ".".join(parts[first:])


def _by(binding: Binding) -> str:
    fields = [
        "".join(_upper_first(step.json_name) for step in path) for path in binding.path_fields
    ]
    return f"By{'And'.join(fields)}" if fields else ""


def _joined(name: str) -> str:
    return "".join(_upper_first(part) for part in name.split("."))


def _upper_first(name: str) -> str:
    return name[:1].upper() + name[1:]


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
