"""The API writes that set Vault up, in the order in which they have to be made.

`${NAME}` in a value is filled in by `configure.py` from its environment.
"""

from typing import Any

from services.local.certs import spiffe_id
from services.local.derived.vault import databases
from services.local.derived.vault.access import PREFIX, Access, Span, Workload

_AUTHORITY_LIFE = "8760h"


def of(access: Access) -> dict[str, Any]:
    """Returns what is mounted and what is written, by path."""
    return {
        "mounts": {
            "auth/kubernetes": {"type": "kubernetes"},
            "mounts/database": {"type": "database"},
            "mounts/pki": {"type": "pki", "config": {"max_lease_ttl": _AUTHORITY_LIFE}},
            "mounts/secret": {"type": "kv", "options": {"version": "2"}},
        },
        "connection": {
            "path": f"database/config/{PREFIX}postgres",
            "body": _connection(access),
            "first": {"password": "${POSTGRES_PASSWORD}"},
        },
        "writes": {
            "auth/kubernetes/config": {
                "kubernetes_host": "${KUBERNETES_HOST}",
                "kubernetes_ca_cert": "${KUBERNETES_CA_CERT}",
                "disable_local_ca_jwt": "${OUTSIDE_KUBERNETES}",
                "token_reviewer_jwt": "${KUBERNETES_REVIEWER_TOKEN}",
            },
            **{path: body for each in access.workloads for path, body in _roles(access, each)},
        },
        "authority": {"common_name": "Souk mesh CA", "key_type": "ec", "ttl": _AUTHORITY_LIFE},
        # What is ours in these and not written above is left over from an older table.
        "owned": {
            "prefix": PREFIX,
            "lists": [
                "auth/kubernetes/role",
                "database/config",
                "database/roles",
                "pki/roles",
                "sys/policies/acl",
            ],
        },
    }


def _connection(access: Access) -> dict[str, Any]:
    return {
        "plugin_name": "postgresql-database-plugin",
        "connection_url": "postgresql://{{username}}:{{password}}@${POSTGRES_ADDRESS}/postgres"
        "?sslmode=${POSTGRES_SSLMODE}",
        "username": databases.VAULT_ROLE,
        "password_authentication": "scram-sha-256",
        "allowed_roles": sorted(each.database for each in access.workloads if each.database),
    }


def _roles(access: Access, workload: Workload) -> list[tuple[str, dict[str, Any]]]:
    login = {
        "bound_service_account_names": [workload.account],
        "bound_service_account_namespaces": [access.namespace],
        "audience": access.audience,
        "token_policies": [workload.role],
        "token_no_default_policy": True,
        "token_ttl": access.token.life,
        "token_max_ttl": access.token.longest,
    }
    roles: list[tuple[str, dict[str, Any]]] = [(f"auth/kubernetes/role/{workload.role}", login)]
    if workload.database:
        span = access.run if workload.certificate else access.migration
        roles.append((f"database/roles/{workload.database}", _database_role(workload, span)))
    if workload.certificate:
        roles.append((f"pki/roles/{workload.role}", _certificate_role(access, workload)))
    return roles


def _database_role(workload: Workload, span: Span) -> dict[str, Any]:
    return {
        "db_name": f"{PREFIX}postgres",
        "creation_statements": databases.creation(workload),
        "revocation_statements": databases.REVOCATION,
        "default_ttl": span.life,
        "max_ttl": span.longest,
    }


def _certificate_role(access: Access, workload: Workload) -> dict[str, Any]:
    """One URI and the DNS names under which the service is reached; nothing below them.

    `localhost` is among them since the gateway calls the storefront in its own process.
    """
    name, namespace = workload.service, access.namespace
    suffixes = ("", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    hosts = [*(f"{name}{suffix}" for suffix in suffixes), "localhost"]
    return {
        "allowed_uri_sans": [spiffe_id(name)],
        "allowed_domains": hosts,
        "allow_bare_domains": True,
        "allow_subdomains": False,
        "allow_glob_domains": False,
        "allow_wildcard_certificates": False,
        "allow_localhost": False,
        "allow_ip_sans": False,
        "enforce_hostnames": True,
        "require_cn": False,
        "cn_validations": ["hostname"],
        "key_type": "ec",
        "key_bits": 256,
        "key_usage": ["DigitalSignature"],
        "server_flag": True,
        "client_flag": True,
        "ttl": access.certificate_life,
        "max_ttl": access.certificate_life,
        # They are too many and too short-lived to be kept; trust ends with their life.
        "no_store": True,
    }
