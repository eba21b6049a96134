"""What Vault is told, from `deploy/vault/access.yaml` and the topology.

    deploy/vault/
      access.yaml            the table; written by hand
      configuration.json     every API path with what is written to it; `configure.py` applies it
      policies/<name>.hcl    what the holder of a role may do
      databases.sql          the databases, and the PostgreSQL roles that accounts become members of

A workload is a service, or the Job that migrates its database. Its ServiceAccount, its login role
and its policy belong to each other one to one.
"""

import json
from collections.abc import Mapping

from services.local.derived.deriver import HEADER, Deriver
from services.local.derived.vault import configuration, databases, policies
from services.local.derived.vault.access import Access, read

FOLDER = "deploy/vault"

__all__ = ["DERIVER", "FOLDER", "Access", "files", "read"]


def files() -> Mapping[str, str]:
    """Returns the texts of all files by path."""
    access = read()
    texts = {
        f"{FOLDER}/configuration.json": json.dumps(configuration.of(access), indent=2) + "\n",
        f"{FOLDER}/databases.sql": f"-- {HEADER}\n{databases.script(access)}",
    }
    for workload in access.workloads:
        texts[f"{FOLDER}/policies/{workload.role}.hcl"] = f"# {HEADER}\n{policies.of(workload)}"
    return texts


DERIVER = Deriver(
    owns=(
        f"{FOLDER}/configuration.json",
        f"{FOLDER}/databases.sql",
        f"{FOLDER}/policies/*.hcl",
    ),
    files=files,
)
