"""The PostgreSQL side: who owns what, and what an account of Vault's making may do.

| role               | logs in | may                                                          |
|--------------------|---------|--------------------------------------------------------------|
| `souk_order_owner` | no      | own `souk_order` and all in it: migrations run as this role  |
| `souk_order_app`   | no      | read and write rows in `souk_order`; no DDL, no TRUNCATE     |
| `souk_vault`       | yes     | make and drop accounts in the roles above; read no row       |
| `v-…`              | yes     | what one of the first two may, for as long as its lease      |
"""

from services.local.derived.vault.access import Access, Workload

VAULT_ROLE = "souk_vault"

_CONNECTIONS = 40

REVOCATION = [
    'ALTER ROLE "{{name}}" NOLOGIN',
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'",
    'DROP ROLE IF EXISTS "{{name}}"',
]
"""Ends its sessions too: an account is revoked early when somebody else may have it."""


def creation(workload: Workload) -> list[str]:
    """Returns the statements that make an account for the workload."""
    database = f"souk_{workload.service}"
    group = f"{database}_{'app' if workload.certificate else 'owner'}"
    account = (
        "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
        f" CONNECTION LIMIT {_CONNECTIONS} IN ROLE {group}"
    )
    if workload.certificate:
        return [account]
    # What a migration makes must outlive the account that made it.
    return [account, f'ALTER ROLE "{{{{name}}}}" IN DATABASE {database} SET role TO {group}']


def script(access: Access) -> str:
    """Returns what an administrator runs with psql before Vault is set up; again does no harm."""
    services = dict.fromkeys(each.service for each in access.workloads if each.database)
    return _VAULT + "".join(_SERVICE.replace("<database>", f"souk_{name}") for name in services)


_VAULT = """\
-- psql --set ON_ERROR_STOP=1 --set vault_password=… --file databases.sql
\\set QUIET on
-- An existing role keeps its password: it is the one that only Vault knows.
SELECT format('CREATE ROLE souk_vault LOGIN NOINHERIT CREATEROLE PASSWORD %L', :'vault_password')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'souk_vault') \\gexec
GRANT pg_signal_backend TO souk_vault WITH INHERIT TRUE;
"""

_SERVICE = """
SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM (VALUES ('<database>_owner'), ('<database>_app')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
SELECT 'CREATE DATABASE <database> OWNER <database>_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '<database>') \\gexec
REVOKE ALL ON DATABASE <database> FROM PUBLIC;
GRANT CONNECT ON DATABASE <database> TO <database>_app;
GRANT <database>_owner, <database>_app TO souk_vault WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
\\connect <database>
ALTER SCHEMA public OWNER TO <database>_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO <database>_app;
ALTER DEFAULT PRIVILEGES FOR ROLE <database>_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO <database>_app;
ALTER DEFAULT PRIVILEGES FOR ROLE <database>_owner
    GRANT USAGE ON SEQUENCES TO <database>_app;
"""
