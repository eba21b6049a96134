"""The table of access says all that a policy says, and there is none for an RPC without one."""

from dataclasses import replace

import pytest
from google.protobuf import descriptor_pb2

from services.local import contract
from services.local.derived import access_matrix
from services.mesh.policy import ContractError


def test_every_rpc_has_one_line():
    """With its access, its roles, its callers and its owner."""
    (table,) = access_matrix.files().values()
    lines = [line for line in table.splitlines() if line.startswith("| ") and "| --- |" not in line]
    heads = [line for line in lines if line.startswith("| RPC |")]

    assert len(contract.rpcs()) == len(lines) - len(heads)
    assert (
        "| GetOrder | `GET /v1/orders/{order_id}` | USER |  | notification, payment "
        "| by resource; except admin, fulfilment, support |  |"
    ) in lines


def test_an_rpc_without_a_policy_fails_the_check(monkeypatch: pytest.MonkeyPatch):
    """`make check` derives the table anew, so that default deny is told before anything starts."""
    open_door = replace(contract.rpcs()[0], options=descriptor_pb2.MethodOptions())
    monkeypatch.setattr(contract, "rpcs", lambda: [open_door])

    with pytest.raises(ContractError, match="has no policy"):
        access_matrix.files()
