"""What a ServiceAccount gets from Vault, and what it is refused: a real server tells."""

from datetime import timedelta

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_key

from services.local.derived.vault import policies, read
from services.mesh.database_pool import FAILURES
from tests.platform.vault.conftest import Configured, prepare_databases
from tests.platform.vault.openbao import Refused

WORKLOADS = {workload.account: workload for workload in read().workloads}

_FORBIDDEN = 403


async def test_configuring_again_deletes_only_what_the_table_no_longer_gives(configured):
    """A role and a policy left over from an older table go; everything else stays as it was."""
    vault = configured.vault
    for name in ("souk-gone", "others"):
        await vault.write(f"sys/policies/acl/{name}", {"policy": 'path "x" {capabilities = []}'})
    before = await vault.read("auth/kubernetes/role/souk-order")
    printed = await configured.configure()
    assert [line for line in printed.splitlines() if line.startswith("delete")] == [
        "delete sys/policies/acl/souk-gone"
    ]
    assert await vault.read("auth/kubernetes/role/souk-order") == before
    assert await vault.read("sys/policies/acl/others")


async def test_the_password_can_be_given_again(configured):
    """Vault replaces its own once more and goes on making accounts."""
    printed = await configured.configure(POSTGRES_PASSWORD="not the one that is good now")
    assert "post database/rotate-root/souk-postgres" in printed.splitlines()
    assert await _account(configured, "order")


async def test_preparing_the_databases_again_changes_nothing(configured):
    """Vault's role keeps the password that only Vault knows, so accounts can still be made."""
    await prepare_databases(configured.postgres)
    assert await _account(configured, "order")


@pytest.mark.parametrize("account", sorted(WORKLOADS))
async def test_a_workload_has_what_the_table_says_and_nothing_else(configured, account):
    """Of all paths that any policy opens, its own are open to it and all others are closed."""
    own = policies.grants(WORKLOADS[account])
    everything = {path for each in WORKLOADS.values() for path in policies.grants(each)}
    pods = await configured.as_account(account)
    answer = await configured.vault.write(
        "sys/capabilities", {"token": pods.token, "paths": sorted(everything)}
    )
    actual = {path: answer[path] for path in everything}
    expected = {path: [own[path]] if path in own else ["deny"] for path in everything}
    assert expected == actual
    for beyond in (
        "sys/mounts",
        "database/config/souk-postgres",
        "secret/metadata/souk/",
        "pki/root",
    ):
        with pytest.raises(Refused) as refused:
            await pods.read(beyond)
        assert refused.value.status == _FORBIDDEN


@pytest.mark.parametrize(
    ("role", "account", "claims"),
    [
        ("souk-order", "order", {"namespace": "other"}),
        ("souk-order", "payment", {}),
        ("souk-order", "order-migration", {}),
        ("souk-order-migration", "order", {}),
        ("souk-order", "default", {}),
        ("souk-order", "order", {"audience": "https://kubernetes.default.svc"}),
        ("souk-order", "order", {"audience": "sts.amazonaws.com"}),
        ("souk-order", "order", {"seconds": -60}),
        ("souk-order", "order", {"key": new_key(SECP256R1())}),
    ],
)
async def test_a_token_that_is_not_exactly_the_workloads_is_refused(
    configured, role, account, claims
):
    """Another namespace, ServiceAccount, audience or signer, or an expired token: no login."""
    with pytest.raises(Refused) as refused:
        await configured.vault.log_in(role, configured.api.token(account, **claims))
    assert refused.value.status == _FORBIDDEN


async def test_a_running_service_changes_rows_but_no_tables(configured):
    """Its account may write to what migrations made; it may not create, empty, drop or alter."""
    migrating = await _connect(configured, "order", "order-migration")
    try:
        await migrating.execute("CREATE TABLE IF NOT EXISTS things (id bigserial, name text)")
        owner = await migrating.fetchval(
            "SELECT tableowner FROM pg_tables WHERE tablename = 'things'"
        )
    finally:
        await migrating.close()
    assert owner == "souk_order_owner"
    running = await _connect(configured, "order", "order")
    try:
        await running.execute("INSERT INTO things (name) VALUES ('one')")
        await running.execute("UPDATE things SET name = 'two'")
        await running.execute("DELETE FROM things")
        for statement in (
            "CREATE TABLE others (id int)",
            "TRUNCATE things",
            "ALTER TABLE things ADD COLUMN more text",
            "DROP TABLE things",
            "CREATE ROLE stranger",
            "SET ROLE souk_order_owner",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await running.execute(statement)
    finally:
        await running.close()


async def test_an_account_opens_no_other_services_database(configured):
    """The order service's account is refused by the payment service's database."""
    account = await _account(configured, "order")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(configured.database("payment", **account))


async def test_vaults_own_role_reads_no_row(configured):
    """Vault's PostgreSQL account makes accounts, and sees none of the data."""
    admin = await asyncpg.connect(configured.postgres)
    try:
        rights = await admin.fetchrow(
            "SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolbypassrls,"
            " has_database_privilege('souk_vault', 'souk_order', 'CONNECT') AS connects,"
            " pg_has_role('souk_vault', 'souk_order_owner', 'USAGE') AS has_owner,"
            " pg_has_role('souk_vault', 'souk_order_app', 'SET') AS becomes_app"
            " FROM pg_roles WHERE rolname = 'souk_vault'"
        )
    finally:
        await admin.close()
    assert rights is not None
    assert [name for name, value in rights.items() if value] == ["rolcreaterole"]


async def test_revoking_an_account_ends_its_sessions(configured):
    """A connection of an account that may be in wrong hands ends with it, and it is dropped."""
    pods = await configured.as_account("order")
    answer = await pods.call("GET", "database/creds/souk-order")
    connection = await asyncpg.connect(configured.database("order", **answer["data"]))
    await configured.vault.call("PUT", "sys/leases/revoke", {"lease_id": answer["lease_id"]})
    # Whether its farewell has been read, is on its way, or was lost with the connection.
    with pytest.raises(FAILURES):
        await connection.execute("SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(configured.database("order", **answer["data"]))


@pytest.mark.parametrize("service", sorted({each.service for each in WORKLOADS.values()}))
async def test_a_certificate_names_its_service_exactly(configured, service):
    """The names of the mesh are issued: one SPIFFE id, and the DNS names of the Service."""
    pods = await configured.as_account(service)
    names = (service, f"{service}.souk.svc", f"{service}.souk.svc.cluster.local", "localhost")
    issued = await pods.write(
        f"pki/issue/souk-{service}",
        {"uri_sans": f"spiffe://souk/{service}", "alt_names": ",".join(names)},
    )
    certificate = x509.load_pem_x509_certificate(issued["certificate"].encode())
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sans.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://souk/{service}"]
    assert set(sans.get_values_for_type(x509.DNSName)) == set(names)
    assert sans.get_values_for_type(x509.IPAddress) == []


@pytest.mark.parametrize(
    "asked",
    [
        {"uri_sans": "spiffe://souk/payment"},
        {"uri_sans": "spiffe://souk/order,spiffe://souk/payment"},
        {"uri_sans": "spiffe://souk/order/more"},
        {"uri_sans": "spiffe://other/order"},
        {"alt_names": "payment"},
        {"alt_names": "order.other.svc"},
        {"alt_names": "x.order.souk.svc"},
        {"alt_names": "*.souk.svc"},
        {"common_name": "payment"},
        {"ip_sans": "127.0.0.1"},
        {"ttl": "8000h", "uri_sans": "spiffe://souk/payment"},
    ],
)
async def test_a_certificate_for_somebody_else_is_refused(configured, asked):
    """The order service gets no certificate with any name that is not its own."""
    pods = await configured.as_account("order")
    with pytest.raises(Refused):
        await pods.write("pki/issue/souk-order", asked)


async def test_a_certificate_lives_no_longer_than_the_table_says(configured):
    """Who asks for a year gets three days."""
    pods = await configured.as_account("order")
    asked = {"uri_sans": "spiffe://souk/order", "ttl": "8000h"}
    issued = await pods.write("pki/issue/souk-order", asked)
    certificate = x509.load_pem_x509_certificate(issued["certificate"].encode())
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life < timedelta(hours=73)


async def _account(configured: Configured, account: str) -> dict[str, str]:
    pods = await configured.as_account(account)
    made = await pods.read(f"database/creds/{WORKLOADS[account].database}")
    return {"username": made["username"], "password": made["password"]}


async def _connect(
    configured: Configured, service: str, account: str
) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        configured.database(service, **await _account(configured, account))
    )
