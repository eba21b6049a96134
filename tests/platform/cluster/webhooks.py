"""Plays the admission webhooks of a cluster on EKS, whose originals cannot be had everywhere.

    /pod-identity    amazon-eks-pod-identity-webhook: the token for the role of a ServiceAccount
    /vault           vault-k8s: Vault's agent, as a pod's annotations ask

What they make of a pod is written after their documentation (docs/decisions/0142). Real are the API
server that calls them, and Pod Security, which judges what they made.
"""

import base64
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from services.local import ports
from tests.platform.cluster import https
from tests.platform.cluster.api import Api
from tests.platform.objects import Object

IMAGE = "hashicorp/vault:1"

_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_NAME = "webhooks"
_ROLE = "eks.amazonaws.com/role-arn"
_ROLE_TOKEN = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
_VAULT = "vault.hashicorp.com/"
_VAULT_TOKEN = "/var/run/secrets/vault.hashicorp.com/serviceaccount"
_TIMEOUT_SECONDS = 10

Mutate = Callable[[Object, str], Awaitable[None]]


@asynccontextmanager
async def installed(api: Api, folder: Path) -> AsyncIterator[None]:
    """Serves both webhooks, and has the API server ask them of every pod, until the block is left.

    `folder` is that of the certificates. Raises Refused.
    """
    webhooks = {"pod-identity": _pod_identity(api), "vault": _vault}
    app = web.Application()
    for name, mutate in webhooks.items():
        app.router.add_post(f"/{name}", _answering(mutate))
    async with https.serving(app, folder, _NAME) as port:
        authority = base64.b64encode((folder / "ca.pem").read_bytes()).decode()
        hooks = [
            _registration(name, f"https://{ports.address(port)}/{name}", authority)
            for name in webhooks
        ]
        await api.call("POST", _CONFIGURATIONS, {"metadata": {"name": _NAME}, "webhooks": hooks})
        yield


def _registration(name: str, url: str, authority: str) -> Object:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["pods"],
        "operations": ["CREATE"],
    }
    return {
        "name": f"{name}.souk.example",
        "clientConfig": {"url": url, "caBundle": authority},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": _TIMEOUT_SECONDS,
        "admissionReviewVersions": ["v1"],
    }


def _answering(mutate: Mutate) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        review = await request.json()
        asked = review["request"]
        pod = copy.deepcopy(asked["object"])
        await mutate(pod, asked["namespace"])
        patch = [
            {"op": "replace", "path": f"/{part}", "value": pod[part]}
            for part in ("metadata", "spec")
            if pod[part] != asked["object"][part]
        ]
        response = {"uid": asked["uid"], "allowed": True}
        if patch:
            text = base64.b64encode(json.dumps(patch).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": text}
        return web.json_response({**review, "request": None, "response": response})

    return answer


def _pod_identity(api: Api) -> Mutate:
    """Gives the token to every container, if the pod's ServiceAccount has a role."""

    async def mutate(pod: Object, namespace: str) -> None:
        name = pod["spec"].get("serviceAccountName", "default")
        account = await api.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
        role = account["metadata"].get("annotations", {}).get(_ROLE)
        if role is None:
            return
        token = {"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}
        projected = {"sources": [{"serviceAccountToken": token}]}
        _add(pod["spec"], "volumes", {"name": "aws-iam-token", "projected": projected})
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            _add(container, "env", {"name": "AWS_ROLE_ARN", "value": role})
            file = {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{_ROLE_TOKEN}/token"}
            _add(container, "env", file)
            mount = {"name": "aws-iam-token", "mountPath": _ROLE_TOKEN, "readOnly": True}
            _add(container, "volumeMounts", mount)

    return mutate


async def _vault(pod: Object, _namespace: str) -> None:
    """Adds an init container and, unless it is asked to fill the files once, a sidecar."""
    annotations = pod["metadata"].get("annotations", {})
    if annotations.get(f"{_VAULT}agent-inject") != "true":
        return
    spec = pod["spec"]
    folders = ["/vault/secrets"] + [
        folder
        for name, folder in annotations.items()
        if name.startswith(f"{_VAULT}secret-volume-path-")
    ]
    secrets = [
        {"name": f"vault-secrets-{number}", "mountPath": folder}
        for number, folder in enumerate(folders)
    ]
    for name in ("home-init", "home-sidecar", *(each["name"] for each in secrets)):
        _add(spec, "volumes", {"name": name, "emptyDir": {"medium": "Memory"}})
    for container in spec["containers"]:
        for mount in secrets:
            _add(container, "volumeMounts", mount)
    agents = {"initContainers": _agent("init", annotations, secrets)}
    if annotations.get(f"{_VAULT}agent-pre-populate-only") != "true":
        agents["containers"] = _agent("sidecar", annotations, secrets)
    for where, agent in agents.items():
        _add(spec, where, agent)
    annotations[f"{_VAULT}agent-inject-status"] = "injected"


def _agent(kind: str, annotations: dict[str, str], secrets: list[Object]) -> Object:
    user, group = (
        int(annotations.get(f"{_VAULT}agent-run-as-{name}", default))
        for name, default in (("user", "100"), ("group", "1000"))
    )
    container: Object = {
        "name": {"init": "vault-agent-init", "sidecar": "vault-agent"}[kind],
        "image": IMAGE,
        "command": ["/bin/sh", "-ec"],
        "args": ["vault agent -config=/home/vault/config.json"],
        "volumeMounts": [
            {"name": f"home-{kind}", "mountPath": "/home/vault"},
            {
                "name": annotations[f"{_VAULT}agent-service-account-token-volume-name"],
                "mountPath": _VAULT_TOKEN,
                "readOnly": True,
            },
            *secrets,
        ],
        "resources": {
            bound: {
                resource: annotations.get(f"{_VAULT}agent-{bound}-{short}", default)
                for resource, short, default in (("cpu", "cpu", "250m"), ("memory", "mem", "64Mi"))
            }
            for bound in ("requests", "limits")
        },
    }
    if annotations.get(f"{_VAULT}agent-set-security-context", "true") == "true":
        container["securityContext"] = {
            "runAsUser": user,
            "runAsGroup": group,
            "runAsNonRoot": user != 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
    return container


def _add(to: Object, name: str, item: Object) -> None:
    """Appends to a list that may not be there yet."""
    to[name] = [*to.get(name, ()), item]
