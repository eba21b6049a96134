"""The policies: what the holder of a role may do, each path in full.

Tokens don't get Vault's `default` policy, so what an agent does for itself stands here too.
"""

from collections.abc import Mapping
from types import MappingProxyType

from services.local.derived.vault.access import Workload

OWN_TOKEN: Mapping[str, str] = MappingProxyType(
    {
        "auth/token/lookup-self": "read",
        "auth/token/renew-self": "update",
        "auth/token/revoke-self": "update",
        "sys/leases/renew": "update",
    }
)
"""What every agent does for itself."""


def grants(workload: Workload) -> dict[str, str]:
    """Returns the capability that the workload has on each path."""
    paths = {f"secret/data/{secret}": "read" for secret in workload.secrets}
    if workload.database:
        paths[f"database/creds/{workload.database}"] = "read"
    if workload.certificate:
        paths[f"pki/issue/{workload.role}"] = "update"
    return {**paths, **OWN_TOKEN}


def of(workload: Workload) -> str:
    """Returns the workload's policy."""
    return "".join(
        f'\npath "{path}" {{\n  capabilities = ["{capability}"]\n}}\n'
        for path, capability in grants(workload).items()
    )
