"""What becomes of a service's pods: which there are, and how many were ready meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.platform.cluster.api import Api
from tests.platform.objects import Object


@dataclass
class Ready:
    """How many ready pods a Service had at least and at most."""

    fewest: int = 1000
    most: int = 0


@asynccontextmanager
async def ready(api: Api, namespace: str, service: str, *, at_first: int) -> AsyncIterator[Ready]:
    """Watches a Service's endpoints, as those who call it do, until the block is left.

    The block begins when the endpoints tell of `at_first` pods: they come a moment after the pods.
    """
    seen = Ready()
    begun = asyncio.Event()
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    async def watch() -> None:
        async for each in api.watch(path, labelSelector=f"kubernetes.io/service-name={service}"):
            conditions = [endpoint["conditions"] for endpoint in each["endpoints"] or ()]
            count = sum(bool(condition["ready"]) for condition in conditions)
            if count == at_first:
                begun.set()
            if begun.is_set():
                seen.fewest, seen.most = min(seen.fewest, count), max(seen.most, count)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch())
        await begun.wait()
        yield seen
        task.cancel()


async def pods(api: Api, namespace: str, name: str) -> list[Object]:
    """Returns a service's pods that are not ending."""
    labels = f"app.kubernetes.io/name={name},app.kubernetes.io/component=service"
    found = await api.call("GET", f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels)
    return [each for each in found["items"] if "deletionTimestamp" not in each["metadata"]]
