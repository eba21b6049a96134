"""Helm releases the charts on a cluster that makes their pods, and waits for what comes of it."""

import pytest
import yaml

from tests.platform.charts import CHARTS, EVERY_CHART, LOCAL, PRODUCTION, layer_of, layers
from tests.platform.cluster.api import Api
from tests.platform.cluster.conftest import HelmFailed
from tests.platform.cluster.control_plane import ControlPlane
from tests.platform.cluster.rollouts import pods, ready
from tests.platform.objects import Object

LAYERS = [layer for chart in EVERY_CHART for layer in layers(chart)]
# What controllers write there of an object that Helm has applied.
REVISION = "deployment.kubernetes.io/revision"


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.chart}-{layer.name}")
async def test_a_chart_is_installed_upgraded_and_rolled_back(
    cluster, charts, namespace, helm, layer
):
    """Each time until all pods are ready; what is rolled back is as before, and nothing is left.

    The upgrade migrates by the new version's image.
    """
    release = (layer.chart, "--namespace", namespace)
    change = "image.tag=0.2.0" if layer.chart in CHARTS else "labels.release=other"

    await helm("install", *release, "--wait", *charts.arguments(layer))
    manifest = await helm("get", "manifest", *release)
    objects = [each for each in yaml.safe_load_all(manifest) if each]
    installed = await state(cluster, objects, namespace)
    assert None not in installed
    await assert_rolled_out(cluster, objects, namespace)
    await helm("upgrade", *release, "--wait", *charts.arguments(layer, change))
    await assert_rolled_out(cluster, objects, namespace)
    assert installed != await state(cluster, objects, namespace)
    for job in [each for each in charts.objects(layer) if each["kind"] == "Job"]:
        migrated = await cluster.api.read(job, namespace)
        assert ":0.2.0" in image(migrated)
        assert 1 == migrated["status"]["succeeded"]
    await helm("test", *release)
    await helm("rollback", layer.chart, "1", "--wait", *release[1:])
    await assert_rolled_out(cluster, objects, namespace)
    assert installed == await state(cluster, objects, namespace)
    await helm("uninstall", *release, "--wait")
    assert [None] * len(objects) == await state(cluster, objects, namespace)


async def test_a_migration_that_fails_changes_nothing_else(cluster, charts, namespace, helm):
    """The upgrade ends before any pod of the new version starts; the next upgrade works."""
    release = ("order", "--namespace", namespace)
    layer = layer_of("order", PRODUCTION)
    await helm("install", *release, "--wait", *charts.arguments(layer))
    before = await names(cluster.api, namespace, "order")
    with pytest.raises(HelmFailed, match="order-migration"):
        await helm("upgrade", *release, *charts.arguments(layer, "image.tag=0.2.0-failing"))
    assert before == await names(cluster.api, namespace, "order")
    await helm("upgrade", *release, "--wait", *charts.arguments(layer, "image.tag=0.2.1"))
    assert before.isdisjoint(await names(cluster.api, namespace, "order"))


async def test_a_version_that_is_never_ready_takes_nobodys_place(cluster, charts, namespace, helm):
    """The upgrade fails, Helm returns to the version before, and all the while its pods serve."""
    release = ("payment", "--namespace", namespace)
    layer = layer_of("payment", PRODUCTION)
    await helm("install", *release, "--wait", *charts.arguments(layer))
    before = await names(cluster.api, namespace, "payment")
    change = charts.arguments(layer, "image.tag=0.2.0-unready")
    async with ready(cluster.api, namespace, "payment", at_first=2) as endpoints:
        with pytest.raises(HelmFailed, match="payment"):
            await helm("upgrade", *release, "--rollback-on-failure", "--timeout=30s", *change)
    assert 2 == endpoints.fewest
    assert before == await names(cluster.api, namespace, "payment")


@pytest.mark.parametrize(("name", "pods"), [(PRODUCTION, 2), (LOCAL, 1)])
async def test_a_rollout_never_has_fewer_ready_pods(cluster, charts, namespace, helm, name, pods):
    """A new pod is ready before an old one goes, also where there is only one."""
    release = ("gateway", "--namespace", namespace)
    layer = layer_of("gateway", name)
    await helm("install", *release, "--wait", *charts.arguments(layer))
    async with ready(cluster.api, namespace, "gateway", at_first=pods) as endpoints:
        await helm("upgrade", *release, "--wait", *charts.arguments(layer, "image.tag=0.2.0"))
    assert pods == endpoints.fewest
    assert endpoints.most > pods


async def names(api: Api, namespace: str, name: str) -> set[str]:
    """Returns the names of a service's pods."""
    return {each["metadata"]["name"] for each in await pods(api, namespace, name)}


def image(workload: Object) -> str:
    """Returns the image of a Deployment's or a Job's own container."""
    image: str = workload["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


async def assert_rolled_out(cluster: ControlPlane, objects: list[Object], namespace: str) -> None:
    """Fails unless every Deployment has all its pods, ready and of its present version."""
    for each in objects:
        if each["kind"] == "Deployment":
            found = await cluster.api.read(each, namespace)
            assert found is not None
            status = found["status"]
            assert found["metadata"]["generation"] == status["observedGeneration"]
            counts = [
                status.get(field) for field in ("replicas", "updatedReplicas", "availableReplicas")
            ]
            assert [found["spec"]["replicas"]] * 3 == counts


async def state(
    cluster: ControlPlane, objects: list[Object], namespace: str
) -> list[Object | None]:
    """Returns what the server has of each object, without what it and controllers count by."""
    found = [await cluster.api.read(each, namespace) for each in objects]
    return [each and _stated(each) for each in found]


def _stated(each: Object) -> Object:
    metadata = {name: each["metadata"].get(name) for name in ("name", "labels")}
    annotations = {**each["metadata"].get("annotations", {})}
    annotations.pop(REVISION, None)
    stated = {name: part for name, part in each.items() if name != "status"}
    return stated | {"metadata": metadata | {"annotations": annotations}}
