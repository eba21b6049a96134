"""A Kubernetes API, asked over HTTP by somebody who takes a warning for a refusal.

    PATCH /apis/apps/v1/namespaces/<namespace>/deployments/<name>
          ?fieldManager=souk&fieldValidation=Strict[&dryRun=All]        server-side apply

Strict validation refuses fields that the server does not know. It warns of the rest: what Pod
Security would refuse of a workload's pods, deprecated versions, settings without effect.
"""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp

from tests.platform.objects import Object

_APPLY = "application/apply-patch+yaml"
_OK, _NOT_FOUND = 200, 404
_WATCH_SECONDS = 600


class Refused(Exception):
    """The API server did not do it, or warned of it; `status` is HTTP's."""

    def __init__(self, status: int, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.status = status


class Api:
    """An API server as `http` may ask it."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> Object:
        """Returns the answer, whatever the server warns of. Raises Refused."""
        answer, _ = await self._ask(method, path, body, query)
        return answer

    async def apply(self, each: Object, namespace: str, *, is_dry_run: bool = False) -> Object:
        """Creates or changes an object, in `namespace` unless it names its own. Raises Refused."""
        query = {"fieldManager": "souk", "fieldValidation": "Strict"}
        if is_dry_run:
            query["dryRun"] = "All"
        path = await self.path(each, namespace)
        answer, warnings = await self._ask("PATCH", path, each, query)
        if warnings:
            raise Refused(_OK, path, "; ".join(warnings))
        return answer

    async def read(self, each: Object, namespace: str) -> Object | None:
        """Returns an object as the server has it, None if it has none. Raises Refused."""
        try:
            return await self.call("GET", await self.path(each, namespace))
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise

    async def watch(self, path: str, **query: str) -> AsyncIterator[Object]:
        """Gives the objects of a list as they are, and each again whenever it changes.

        For ten minutes, unless it is left before.
        """
        timeout = aiohttp.ClientTimeout(total=_WATCH_SECONDS)
        asked = {**query, "watch": "true"}
        async with self._http.get(path, params=asked, timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                yield json.loads(line)["object"]

    async def path(self, each: Object, namespace: str) -> str:
        """Returns where an object is. Raises Refused, LookupError for an unknown kind."""
        version, kind, metadata = each["apiVersion"], each["kind"], each["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for resource in (await self.call("GET", root))["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                break
        else:
            raise LookupError(f"the server knows no {kind} of {version}")
        if resource["namespaced"]:
            root += f"/namespaces/{metadata.get('namespace', namespace)}"
        return f"{root}/{resource['name']}/{metadata['name']}"

    async def _ask(
        self, method: str, path: str, body: Any, query: dict[str, str]
    ) -> tuple[Object, list[str]]:
        """Returns the answer and the warnings with it."""
        async with self._http.request(
            method,
            path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": _APPLY if method == "PATCH" else "application/json"},
        ) as response:
            answer: Object = await response.json()
            warnings = response.headers.getall("Warning", [])
        if not response.ok:
            raise Refused(response.status, f"{method} {path}", answer["message"])
        return answer, warnings


def pods(objects: Iterable[Object]) -> list[Object]:
    """Returns the pods that controllers would make of Deployments, Jobs and StatefulSets."""
    return [
        _pod(each, each["spec"]["template"])
        for each in objects
        if "template" in each.get("spec", {}) and "containers" in each["spec"]["template"]["spec"]
    ]


def _pod(owner: Object, template: Object) -> Object:
    claims = [each["metadata"]["name"] for each in owner["spec"].get("volumeClaimTemplates", ())]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    spec = template["spec"]
    metadata = owner["metadata"]
    place = {"namespace": metadata["namespace"]} if "namespace" in metadata else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # Not -0: that is what a StatefulSet's controller makes.
        "metadata": {**template["metadata"], "name": f"{metadata['name']}-tried", **place},
        "spec": {**spec, "volumes": [*spec.get("volumes", ()), *volumes]},
    }
