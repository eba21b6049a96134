"""A fault in the running shop is told to somebody: real Prometheus, real Alertmanager, real mesh.

    Redis hangs ─ OutboxLag pending ─ firing ─ delivered ─ Redis goes on ─ resolved, delivered

Run by `make check-platform`; it takes a minute and a half, most of it the rule's own patience.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest
import yaml
from aiohttp import web
from redis.asyncio import Redis

from services.local import ports, program
from services.local.program import Program
from souk.order.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc
from tests.e2e.conftest import Mesh, running

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".tools" / "bin"
ALERT = "OutboxLag"

HANG_SECONDS = 60
PATIENCE_SECONDS = 120


@dataclass
class Receivers:
    """What Alertmanager delivered, as (receiver, alert, status), in its order."""

    told: list[tuple[str, str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Takes a delivery (Alertmanager's webhook, version 4)."""
        delivery = await request.json()
        for alert in delivery["alerts"]:
            entry = (request.match_info["name"], alert["labels"]["alertname"], alert["status"])
            self.told.append(entry)
        self.changed.set()
        return web.Response()

    async def until(self, receiver: str, status: str) -> None:
        """Returns when the receiver was told that the alert has this status."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (receiver, ALERT, status) not in self.told:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def receiving(receivers: Receivers) -> AsyncIterator[str]:
    """Listens for deliveries; yields the URL before a receiver's name."""
    app = web.Application()
    app.router.add_post("/{name}", receivers.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = ports.free()[0]
    await web.TCPSite(runner, ports.LOOPBACK, port).start()
    try:
        yield f"http://{ports.LOOPBACK}:{port}"
    finally:
        await runner.cleanup()


def patient_for_a_test(path: Path, folder: Path) -> Path:
    """Copies a rule file with its `for` at a twentieth; expressions stay as they are."""
    document = yaml.safe_load(path.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{int(rule['for'].removesuffix('m')) * 3}s"
    copy = folder / f"{path.parents[1].name}-{path.name}"
    copy.write_text(yaml.safe_dump(document))
    return copy


def alertmanager_configuration(webhook: str) -> dict[str, Any]:
    """Returns the shop's own routes, with receivers that the test can hear."""
    document: dict[str, Any] = yaml.safe_load(
        (ROOT / "charts/monitoring/alertmanager.yaml").read_text()
    )
    document["global"] = {"resolve_timeout": "5m"}
    document["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    document["receivers"] = [
        {
            "name": receiver["name"],
            "webhook_configs": [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}],
        }
        for receiver in document["receivers"]
    ]
    return document


def prometheus_configuration(mesh: Mesh, alertmanager: str, rules: Path) -> dict[str, Any]:
    """Returns what scrapes every service as the charts' ServiceMonitors have it."""
    copies = [patient_for_a_test(path, rules) for path in ROOT.glob("charts/*/rules/*.yaml")]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(copy) for copy in copies],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": name,
                "static_configs": [{"targets": [address], "labels": {"namespace": "souk"}}],
            }
            for name, address in mesh.endpoints.metrics.items()
        ],
    }


@asynccontextmanager
async def watched(mesh: Mesh, folder: Path, webhook: str) -> AsyncIterator[str]:
    """Runs Prometheus and Alertmanager over the mesh; yields the URL of Prometheus."""
    prometheus, alertmanager = (ports.address(port) for port in ports.free(2))
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(alertmanager_configuration(webhook)))
    (folder / "prometheus.yaml").write_text(
        yaml.safe_dump(prometheus_configuration(mesh, alertmanager, folder))
    )
    async with AsyncExitStack() as stack:
        for each in (
            Program(
                name="alertmanager",
                argv=(
                    str(BIN / "prometheus-alertmanager"),
                    f"--config.file={folder / 'alertmanager.yaml'}",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address={alertmanager}",
                    "--cluster.listen-address=",
                ),
                check=lambda: ready(f"http://{alertmanager}/-/ready"),
                log=folder / "alertmanager.log",
            ),
            Program(
                name="prometheus",
                argv=(
                    str(BIN / "prometheus"),
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'prometheus'}",
                    f"--web.listen-address={prometheus}",
                ),
                check=lambda: ready(f"http://{prometheus}/-/ready"),
                log=folder / "prometheus.log",
            ),
        ):
            await stack.enter_async_context(program.running(each))
        yield f"http://{prometheus}"


async def ready(url: str) -> None:
    """Raises unless the URL answers 200."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(url, timeout=aiohttp.ClientTimeout(total=2)),
    ):
        pass


async def ask(prometheus: str, path: str) -> Any:
    """Returns the data of an answer of Prometheus' API."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"{prometheus}/api/v1/{path}") as answer,
    ):
        return (await answer.json())["data"]


async def until(condition: Callable[[], Any]) -> None:
    """Asks until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.2)


async def state(prometheus: str) -> str:
    """Returns the alert's state: inactive, pending or firing."""
    found = [
        each["state"]
        for each in (await ask(prometheus, "alerts"))["alerts"]
        if each["labels"]["alertname"] == ALERT
    ]
    return found[0] if found else "inactive"


async def all_scraped(prometheus: str) -> bool:
    """Tells whether every process answers Prometheus."""
    targets = (await ask(prometheus, "targets"))["activeTargets"]
    return all(target["health"] == "up" for target in targets)


async def place_order(mesh: Mesh, token: str, product_id: str) -> None:
    """Buys a piece at the order service itself."""
    certs = mesh.endpoints.certs_folder
    credentials = grpc.ssl_channel_credentials(
        *((certs / name).read_bytes() for name in ("ca.pem", "developer-key.pem", "developer.pem"))
    )
    options = [("grpc.ssl_target_name_override", "order")]
    address = mesh.endpoints.grpc["order"]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        await order_service_pb2_grpc.OrderServiceStub(channel).CreateOrder(
            order_service_pb2.CreateOrderRequest(
                request_id="alert",
                items=[order_pb2.OrderItem(product_id=product_id, quantity=1)],
                payment_token="tok_ok",
            ),
            metadata=[("authorization", f"Bearer {token}")],
            timeout=20,
        )


async def sign_in(mesh: Mesh) -> tuple[str, str]:
    """Returns a customer's token and a product that can be bought."""
    account = mesh.accounts["customer"]
    body: Mapping[str, str] = {"email": account.email, "password": account.password}
    async with aiohttp.ClientSession(mesh.endpoints.gateway, raise_for_status=True) as session:
        async with session.post("/v1/sessions", json=body) as answer:
            token = (await answer.json())["accessToken"]
        async with session.get("/v1/products?filter=stock>0&pageSize=1") as answer:
            return token, json.loads(await answer.read())["products"][0]["productId"]


@pytest.mark.timeout(300)
async def test_a_hanging_redis_is_told_of(tmp_path):
    """The alert goes pending, fires, is delivered to who is on call, and is resolved afterwards."""
    for name in ("prometheus", "prometheus-alertmanager"):
        if not (BIN / name).exists():
            pytest.skip(f"{name} is not installed: `make tools`")
    receivers = Receivers()
    async with (
        running(tmp_path) as mesh,
        receiving(receivers) as webhook,
        watched(mesh, tmp_path, webhook) as prometheus,
        Redis.from_url(mesh.endpoints.redis) as redis,
    ):
        await until(lambda: all_scraped(prometheus))
        assert await state(prometheus) == "inactive"
        token, product_id = await sign_in(mesh)
        await redis.execute_command("CLIENT", "PAUSE", HANG_SECONDS * 1000, "ALL")
        await place_order(mesh, token, product_id)

        async def is_pending() -> bool:
            return await state(prometheus) == "pending"

        await until(is_pending)
        await receivers.until("on-call", "firing")
        assert await state(prometheus) == "firing"
        await receivers.until("channel", "firing")
        await receivers.until("on-call", "resolved")
        assert await state(prometheus) == "inactive"
