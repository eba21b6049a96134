"""`docs/access-matrix.md`: who may call what, so that a change of access shows in a diff."""

from collections.abc import Iterator, Mapping

from services.local import contract
from services.local.contract import Rpc
from services.local.derived.deriver import HEADER, Deriver
from services.mesh.policy import ContractError
from souk.mesh.v1.policy_pb2 import Access, Policy

PATH = "docs/access-matrix.md"

_INTRODUCTION = f"""\
<!-- {HEADER} -->

# Who may call what

One line for each RPC, as its contract says. `tests/contract/test_access.py` makes each call as
every kind of caller, at the service and through the gateway, and compares the answer with this.

- **access**: `PUBLIC` is anybody, `USER` whoever is signed in, `ROLE` whoever has one of the roles,
  `INTERNAL` only the services named as callers.
- **callers**: the services that may call on their own behalf, by their certificate.
- **owner**: whose data it is. `by field x`: a person may name only themselves there. `by resource`:
  the query itself asks for the caller's own. What is another's is `NOT_FOUND`, except for the roles
  named.
- **audited**: each call that does something is in the [audit log](threat-model.md#audit-log).
"""

_HEAD = ("RPC", "route", "access", "roles", "callers", "owner", "audited")


def files() -> Mapping[str, str]:
    """Returns the table. Raises ContractError naming every RPC without a policy."""
    faults = [f"{rpc.full_name} has no policy" for rpc in contract.rpcs() if not rpc.policy.access]
    if faults:
        raise ContractError(faults)
    return {PATH: "\n".join([_INTRODUCTION, *_lines()]).rstrip() + "\n"}


def _lines() -> Iterator[str]:
    service = ""
    for rpc in contract.rpcs():
        if rpc.service != service:
            service = rpc.service
            yield f"\n## {service}\n"
            yield _row(_HEAD)
            yield _row(["---"] * len(_HEAD))
        yield _row(_cells(rpc))


def _cells(rpc: Rpc) -> list[str]:
    policy = rpc.policy
    routes = [f"`{route.http_method} {route.path}`" for route in rpc.routes]
    return [
        rpc.name,
        "<br>".join(routes),
        Access.Name(policy.access).removeprefix("ACCESS_"),
        ", ".join(sorted(policy.roles)),
        ", ".join(sorted(policy.callers)),
        _owner(policy),
        "yes" if policy.audit else "",
    ]


def _owner(policy: Policy) -> str:
    if not policy.HasField("owner"):
        return ""
    by = "resource" if policy.owner.resource else f"field `{policy.owner.request_field}`"
    excepted = ", ".join(sorted(policy.owner.except_roles))
    return f"by {by}" + (f"; except {excepted}" if excepted else "")


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


DERIVER = Deriver(owns=(PATH,), files=files)
