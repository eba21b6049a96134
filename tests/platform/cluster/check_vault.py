"""Vault lets in whom this cluster's API server vouches for: a real review of real tokens."""

from collections.abc import AsyncIterator

import pytest

from services.local.stores import postgres
from tests.platform.cluster.control_plane import ControlPlane
from tests.platform.vault import openbao
from tests.platform.vault.api_server import ApiServer
from tests.platform.vault.conftest import FIRST_PASSWORD, Configured, prepare_databases
from tests.platform.vault.openbao import Refused, Vault

FORBIDDEN = 403


@pytest.fixture(scope="module")
async def vault(
    cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Vault]:
    """Runs a Vault outside of the cluster, configured as docs/vault.md says."""
    if openbao.program() is None:
        pytest.skip("bao is not installed (make tools)")
    await cluster.make_namespace("other")
    for namespace, account in (("souk", "order"), ("souk", "payment"), ("other", "order")):
        await cluster.add_account(namespace, account)
    async with (
        postgres.running(tmp_path_factory.mktemp("vault-postgres")) as url,
        openbao.server(tmp_path_factory.mktemp("vault")) as server,
    ):
        await prepare_databases(url)
        configured = Configured(vault=server, api=ApiServer(url=cluster.url), postgres=url)
        await configured.configure(
            POSTGRES_PASSWORD=FIRST_PASSWORD,
            KUBERNETES_CA_CERT=cluster.authority.read_text(),
            KUBERNETES_REVIEWER_TOKEN=await reviewer(cluster),
        )
        yield server


async def reviewer(cluster: ControlPlane) -> str:
    """Returns the token of a ServiceAccount that may ask whose a token is, and nothing else."""
    await cluster.add_account("kube-system", "vault")
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    subject = {"kind": "ServiceAccount", "namespace": "kube-system", "name": "vault"}
    binding = {
        "metadata": {"name": "vault"},
        "roleRef": {**role, "name": "system:auth-delegator"},
        "subjects": [subject],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    await cluster.api.call("POST", bindings, binding)
    return await cluster.token("kube-system", "vault")


async def test_a_workload_signs_in_by_the_token_of_its_pod(cluster, vault):
    """The API server says whose the token is, and Vault gives what the role may have."""
    signed_in = await vault.log_in("souk-order", await cluster.token("souk", "order", "vault"))
    assert ["souk-order"] == (await signed_in.read("auth/token/lookup-self"))["policies"]


@pytest.mark.parametrize(
    ("namespace", "account", "audience"),
    [
        ("other", "order", "vault"),
        ("souk", "payment", "vault"),
        ("souk", "default", "vault"),
        ("souk", "order", "sts.amazonaws.com"),
        ("souk", "order", None),
    ],
)
async def test_no_other_token_is_taken(cluster, vault, namespace, account, audience):
    """Another namespace, ServiceAccount or audience, the API server's own too: no login."""
    token = await cluster.token(namespace, account, audience)
    with pytest.raises(Refused) as refused:
        await vault.log_in("souk-order", token)
    assert FORBIDDEN == refused.value.status
