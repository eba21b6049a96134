"""What Vault is told, from `deploy/vault/access.yaml` and the topology.

    deploy/vault/
      access.yaml            the table; written by hand
      configuration.json     every API path with what is written to it; `configure.py` applies it
      policies/<name>.hcl    what the holder of a role may do
      kustomization.yaml     puts these into a ConfigMap for the Job in job.yaml
      databases.sql          the databases, and the PostgreSQL roles that accounts become members of

A workload is a service, or the Job that migrates its database. Its ServiceAccount, its login role
and its policy belong to each other one to one.
"""

import json
from collections.abc import Mapping

import yaml

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
    texts[f"{FOLDER}/kustomization.yaml"] = _kustomization(access)
    for workload in access.workloads:
        texts[f"{FOLDER}/policies/{workload.role}.hcl"] = f"# {HEADER}\n{policies.of(workload)}"
    return texts


def _kustomization(access: Access) -> str:
    """Returns what makes a ConfigMap of the configuration, and the Job that applies it."""
    policies_of = [f"policies/{workload.role}.hcl" for workload in access.workloads]
    files_of = ["configure.py", "configuration.json", *policies_of]
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "vault",
        "resources": ["job.yaml"],
        "configMapGenerator": [{"name": "vault-configuration", "files": files_of}],
    }
    return f"# {HEADER}\n{yaml.safe_dump(document, sort_keys=False)}"


DERIVER = Deriver(
    owns=(
        f"{FOLDER}/kustomization.yaml",
        f"{FOLDER}/configuration.json",
        f"{FOLDER}/databases.sql",
        f"{FOLDER}/policies/*.hcl",
    ),
    files=files,
)
