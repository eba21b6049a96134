"""A browser reads /docs, tries a call out and receives events, and asks for nothing elsewhere."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from tests.e2e.conftest import Mesh, Rest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)
# A browser that has to begin beside other tests takes its time.
_PATIENCE_MS = 90_000
_LIST_PRODUCTS = "#operations-ProductService-listProducts"


@dataclass(slots=True)
class Visit:
    """A page, what it asked for elsewhere, and what it complained of."""

    page: Page
    strayed: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Runs Chromium without a window."""
    found = next((path for path in map(shutil.which, _NAMES) if path is not None), None)
    if found is None:
        pytest.skip("Chromium is not installed: `make tools`")
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=found, args=list(_ARGUMENTS), timeout=_PATIENCE_MS
        )
        yield launched
        await launched.close()


@pytest.fixture
async def visit(browser: Browser, mesh: Mesh) -> AsyncIterator[Visit]:
    """Opens /docs in a profile of its own, and lets no request go anywhere but the gateway."""
    context = await browser.new_context(base_url=mesh.endpoints.gateway)
    context.set_default_timeout(_PATIENCE_MS)
    started = Visit(page=await context.new_page())

    async def watch(route: Route) -> None:
        url = route.request.url
        if url.startswith((mesh.endpoints.gateway, "data:")):
            await route.continue_()
        else:
            started.strayed.append(url)
            await route.abort()

    await context.route("**/*", watch)
    started.page.on("console", lambda said: started.complaints.append(said.text))
    started.page.on("pageerror", lambda error: started.complaints.append(str(error)))
    await started.page.goto("/docs")
    await expect(started.page.locator(".swagger-ui .info .title")).to_contain_text("souk")
    yield started
    await context.close()


async def test_the_docs_render_offline(visit: Visit) -> None:
    """Every operation is shown, nothing is fetched from elsewhere, and the policy allows it all."""
    document = await (await visit.page.request.get("/openapi.json")).json()
    operations = [each for path in document["paths"].values() for each in path]
    await expect(visit.page.locator(".opblock")).to_have_count(len(operations))
    assert visit.strayed == []
    assert visit.complaints == []


async def test_a_call_is_tried_out(visit: Visit) -> None:
    """Who opens an operation and executes it sees the answer of the running shop."""
    operation = visit.page.locator(_LIST_PRODUCTS)
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_placeholder("pageSize").fill("2")
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response").first
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    shown = await answer.locator(".highlight-code code").first.inner_text()
    assert len(json.loads(shown)["products"]) == 2
    assert visit.complaints == []


async def test_events_are_received(visit: Visit, rest: Rest) -> None:
    """An EventSource is told of a product's stock, with an id to go on from."""
    product = (await rest("").get("/v1/products"))["products"][0]
    event = await visit.page.evaluate(
        """(path) => new Promise((resolve, reject) => {
            const source = new EventSource(path);
            source.onmessage = (event) => {
                source.close();
                resolve({id: event.lastEventId, data: event.data});
            };
            source.onerror = () => reject(new Error("the stream failed"));
        })""",
        f"/v1/products/{product['productId']}/stock:watch",
    )
    told = json.loads(event["data"])
    assert (event["id"], told["productId"]) == ("1", product["productId"])
    assert told["stock"] >= 0
