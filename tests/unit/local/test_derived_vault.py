"""What Vault is told follows from the table and the topology."""

import pytest

from services.local.derived import vault
from services.local.derived.vault import access, policies


def test_every_service_has_its_workloads():
    """Each deployed identity has one; each service with PostgreSQL also one that migrates."""
    accounts = [workload.account for workload in vault.read().workloads]
    assert accounts == [
        *("user", "user-migration", "product", "order", "order-migration", "payment"),
        *("payment-migration", "notification", "notification-migration", "gateway"),
    ]


def test_no_policy_has_a_wildcard():
    """Each path is said in full, so that a policy can be read without knowing what exists."""
    paths = {path for each in vault.read().workloads for path in policies.grants(each)}
    assert [path for path in paths if "*" in path or "+" in path or path.endswith("/")] == []


def test_no_secret_is_shared():
    """What one workload reads no other reads, but for the paths of its own token."""
    own: dict[str, list[str]] = {}
    for workload in vault.read().workloads:
        for path in policies.grants(workload):
            own.setdefault(path, []).append(workload.account)
    shared = {path for path, accounts in own.items() if len(accounts) > 1}
    assert shared == set(policies.OWN_TOKEN)


def test_a_service_that_is_none_is_refused(tmp_path):
    """A typing error in the table does not become a role that nobody has."""
    table = tmp_path / "access.yaml"
    table.write_text(access.TABLE.read_text().replace("  order: [", "  ordre: ["))
    with pytest.raises(ValueError, match=r"access\.yaml: ordre is no service"):
        vault.read(table)
