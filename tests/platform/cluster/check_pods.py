"""Pods as a cluster has them: where they run, who they are, when they may go."""

import asyncio

import pytest

from tests.platform.aws.sts import AUDIENCE
from tests.platform.aws.test_identity import ACCOUNT, ROLE, trust
from tests.platform.charts import LOCAL, PRODUCTION, layer_of
from tests.platform.cluster.api import Api, Refused
from tests.platform.cluster.control_plane import ZONES
from tests.platform.cluster.rollouts import pods, ready
from tests.platform.objects import Object

TOO_MANY_REQUESTS = 429
MAXIMUM = 6
SETTLED_SECONDS = 60


async def evict(api: Api, pod: Object) -> None:
    """Has a pod go, as `kubectl drain` does. Raises Refused while its budget does not allow it."""
    metadata = {name: pod["metadata"][name] for name in ("name", "namespace")}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    await api.call("POST", path, eviction)


async def test_pods_are_spread_over_zones(cluster, charts, namespace, helm):
    """The two pods of production do not go with one zone."""
    release = ("order", "--namespace", namespace)
    await helm("install", *release, "--wait", *charts.arguments(layer_of("order", PRODUCTION)))
    nodes = [each["spec"]["nodeName"] for each in await pods(cluster.api, namespace, "order")]
    assert [f"node-{zone}" for zone in ZONES] == sorted(nodes)


async def test_pods_are_evicted_one_after_the_other(cluster, charts, namespace, helm):
    """The budget holds the second until the first one's successor is ready; then it goes too."""
    release = ("order", "--namespace", namespace)
    await helm("install", *release, "--wait", *charts.arguments(layer_of("order", PRODUCTION)))
    first, second = await pods(cluster.api, namespace, "order")
    await evict(cluster.api, first)
    with pytest.raises(Refused, match="disruption budget") as refused:
        await evict(cluster.api, second)
    assert TOO_MANY_REQUESTS == refused.value.status
    async with asyncio.timeout(SETTLED_SECONDS):
        while not await disruptions_allowed(cluster.api, namespace, "order"):
            await asyncio.sleep(0.1)
    await evict(cluster.api, second)


async def test_a_single_pod_does_not_block_a_node(cluster, charts, namespace, helm):
    """Where there is one pod there is no budget, which would keep it for ever."""
    release = ("order", "--namespace", namespace)
    await helm("install", *release, "--wait", *charts.arguments(layer_of("order", LOCAL)))
    (only,) = await pods(cluster.api, namespace, "order")
    await evict(cluster.api, only)


async def test_load_brings_pods_which_an_upgrade_keeps(cluster, charts, namespace, helm, metrics):
    """The service's own load counts, not that of Vault's agent; a release sets nothing back."""
    release = ("order", "--namespace", namespace)
    layer = layer_of("order", PRODUCTION)
    await helm("install", *release, "--wait", *charts.arguments(layer))
    async with ready(cluster.api, namespace, "order", at_first=2) as endpoints:
        metrics.millicores[namespace, "vault-agent"] = 250
        await autoscaled(cluster.api, namespace, "order", utilization=0)
        assert 2 == endpoints.most
        metrics.millicores[namespace, "order"] = 90
        await autoscaled(cluster.api, namespace, "order", utilization=90)
        while endpoints.most < MAXIMUM:
            await asyncio.sleep(0.1)
    async with ready(cluster.api, namespace, "order", at_first=MAXIMUM) as endpoints:
        await helm("upgrade", *release, "--wait", *charts.arguments(layer, "image.tag=0.2.0"))
    assert MAXIMUM == endpoints.fewest


async def test_the_services_role_comes_with_its_pods(cluster, charts, namespace, helm):
    """The product service's pods get a token for STS, and no other pod, not even for a moment."""
    for chart in ("product", "order"):
        release = (chart, "--namespace", namespace)
        await helm("install", *release, "--wait", *charts.arguments(layer_of(chart, PRODUCTION)))
    for pod in await pods(cluster.api, namespace, "product"):
        (container,) = [each for each in pod["spec"]["containers"] if each["name"] == "product"]
        environment = {each["name"]: each.get("value") for each in container["env"]}
        assert ROLE == environment["AWS_ROLE_ARN"]
        file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"]
        (mount,) = [
            each for each in container["volumeMounts"] if file.startswith(each["mountPath"])
        ]
        (token,) = projected(pod, mount["name"])
        assert (AUDIENCE, f"{mount['mountPath']}/{token['path']}") == (token["audience"], file)
    found = await cluster.api.call("GET", f"/api/v1/namespaces/{namespace}/pods")
    others = [
        each
        for each in found["items"]
        if each["metadata"]["labels"]["app.kubernetes.io/name"] != "product"
    ]
    assert len(others) > 1
    for pod in others:
        assert AUDIENCE not in str(pod)
        assert "AWS_" not in str(pod)


async def test_the_role_is_lent_for_the_token_of_its_service_account(cluster, namespace):
    """What the API server signs for the product service and STS is taken, and nothing else."""
    await cluster.add_account(namespace, "product")
    asked = [("product", AUDIENCE), ("product", "vault"), ("product", None), ("default", AUDIENCE)]
    tokens = {each: await cluster.token(namespace, *each) for each in asked}
    lent = {
        each for each, token in tokens.items() if ACCOUNT.lends(trust(namespace=namespace), token)
    }
    assert {("product", AUDIENCE)} == lent


async def test_vaults_agent_has_the_token_by_which_the_pod_signs_in(
    cluster, charts, namespace, helm
):
    """It runs before the service and beside it, and has a token that the service has not."""
    release = ("user", "--namespace", namespace)
    await helm("install", *release, "--wait", *charts.arguments(layer_of("user", PRODUCTION)))
    for pod in await pods(cluster.api, namespace, "user"):
        (agent,) = pod["spec"]["initContainers"]
        service, sidecar = pod["spec"]["containers"]
        assert ["vault-agent-init", "user", "vault-agent"] == [
            each["name"] for each in (agent, service, sidecar)
        ]
        (signs_in,) = projected(pod, "vault-token")
        assert "vault" == signs_in["audience"]
        has = ["vault-token" in str(each["volumeMounts"]) for each in (agent, service, sidecar)]
        assert [True, False, True] == has


async def disruptions_allowed(api: Api, namespace: str, name: str) -> int:
    """Returns how many pods a budget lets go now."""
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}"
    allowed: int = (await api.call("GET", path))["status"]["disruptionsAllowed"]
    return allowed


async def autoscaled(api: Api, namespace: str, name: str, *, utilization: int) -> None:
    """Waits until an autoscaler has seen how busy a service's container is, in percent."""
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
    async with asyncio.timeout(SETTLED_SECONDS):
        while True:
            status = (await api.call("GET", path)).get("status", {})
            for metric in status.get("currentMetrics") or ():
                current = metric.get("containerResource", {}).get("current", {})
                if utilization == current.get("averageUtilization"):
                    return
            await asyncio.sleep(0.2)


def projected(pod: Object, volume: str) -> list[Object]:
    """Returns the ServiceAccount tokens that a pod's volume holds."""
    (found,) = [each for each in pod["spec"]["volumes"] if each["name"] == volume]
    return [each["serviceAccountToken"] for each in found["projected"]["sources"]]
