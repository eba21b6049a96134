"""Evaluates the policies in `deploy/aws/policies` as IAM does, as far as they go.

    request  := action, resource, and the context's keys
    answer   := an explicit Deny beats an Allow, which beats nothing at all

After "Policy evaluation logic" and "IAM JSON policy elements: Condition operators" of the IAM user
guide. An operator that is not known here is an error, so that no condition is taken for true.
"""

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

FOLDER = Path(__file__).parents[3] / "deploy" / "aws" / "policies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants: `principal` is an ARN or a service's name."""

    action: str
    resource: str = "*"
    principal: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


def read(name: str, **values: str) -> dict[str, Any]:
    """Returns a policy with its `${…}` filled in. Raises KeyError when a value is missing."""
    policy: dict[str, Any] = json.loads(
        Template((FOLDER / f"{name}.json").read_text()).substitute(values)
    )
    return policy


def allows(policy: Mapping[str, Any], request: Request) -> bool:
    """Tells whether the policy, on its own, lets the request pass."""
    effects = {each["Effect"] for each in policy["Statement"] if _applies(each, request)}
    return effects == {"Allow"}


def denies(policy: Mapping[str, Any], request: Request) -> bool:
    """Tells whether the policy refuses the request whatever others allow."""
    return any(each["Effect"] == "Deny" and _applies(each, request) for each in policy["Statement"])


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        _is_principal(statement.get("Principal"), request.principal)
        and any(_like(request.action.lower(), each.lower()) for each in _list(statement["Action"]))
        and any(_like(request.resource, each) for each in _list(statement.get("Resource", "*")))
        and all(
            _holds(operator, key, _list(values), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _is_principal(stated: Any, principal: str) -> bool:
    if stated is None or stated == "*":
        return True
    return any(principal in _list(each) for each in stated.values())


def _holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    """Tells whether a condition holds; a key that is absent fits only negated operators."""
    actual = context.get(key)
    if actual is None:
        return "Not" in operator
    match operator:
        case "StringEquals":
            return actual in values
        case "StringLike":
            return any(_like(actual, each) for each in values)
        case "Bool":
            return actual.lower() in values
        case "ArnNotEquals":
            return not any(_like(actual, each) for each in values)
        case _:
            raise NotImplementedError(operator)


def _like(text: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
