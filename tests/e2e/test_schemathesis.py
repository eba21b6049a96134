"""Schemathesis judges the running shop by its own document.

It sends what the document allows and what it forbids, and follows what answers lead to. The mesh is
one of its own: who may do everything leaves little of a shop.
"""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.local.demo.rest import Shop
from tests.e2e.conftest import Mesh, running
from tests.schemathesis import judge
from tests.schemathesis.judge import Verdict

_DESCRIPTORS = Path(__file__).parents[2] / "proto" / "gen" / "souk.binpb"
_ROLES = ["ROLE_ADMIN", "ROLE_MERCHANDISER", "ROLE_FULFILMENT", "ROLE_SUPPORT"]

pytestmark = pytest.mark.timeout(judge.TEST_SECONDS)


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    """Runs a mesh for this module alone."""
    async with running(tmp_path_factory.mktemp("judged")) as mesh:
        yield mesh


class _People:
    """Opens accounts: who is judged as may have closed theirs."""

    def __init__(self, mesh: Mesh, session: aiohttp.ClientSession) -> None:
        self._mesh = mesh
        self._session = session

    def _rest(self, token: str = "") -> Shop:
        url = self._mesh.endpoints.gateway
        return Shop(session=self._session, base_url=url, token=token)

    async def _sign_in(self, person: dict[str, str]) -> str:
        token: str = (await self._rest().post("/v1/sessions", person))["accessToken"]
        return token

    async def customers(self) -> dict[str, str]:
        """Gives the tokens of two customers, each with what is nobody else's."""
        return {name: await self._customer() for name in ("customer", "stranger")}

    async def _customer(self) -> str:
        """Gives the token of a customer with an address and an order that is paid."""
        person = _person()
        await self._rest().post("/v1/users", {**person, "displayName": "Judged"})
        token = await self._sign_in(person)
        rest = self._rest(token)
        address = {"regionCode": "DE", "addressLines": ["Invalidenstr. 1"]}
        await rest.post("/v1/users/me/addresses", {"postalAddress": address})
        page = await rest.get("/v1/products", filter="stock>5")
        item = {"productId": page["products"][0]["productId"], "quantity": 1}
        order = {"items": [item], "paymentToken": "tok_ok"}
        await rest.post("/v1/orders", order, Idempotency_Key=secrets.token_hex(16))
        return token

    async def staff(self) -> dict[str, str]:
        """Gives the token of a person with every role."""
        person = _person()
        user = await self._rest().post("/v1/users", {**person, "displayName": "Judged"})
        account = self._mesh.accounts["admin"]
        admin = await self._sign_in({"email": account.email, "password": account.password})
        path = f"/v1/users/{user['userId']}:assignRole"
        await self._rest(admin).post(path, {"roles": _ROLES})
        return {"staff": await self._sign_in(person)}


def _person() -> dict[str, str]:
    return {"email": f"{secrets.token_hex(6)}@souk.example", "password": secrets.token_hex(12)}


@pytest.mark.parametrize(("who", "reached"), [("customers", 22), ("staff", 30)])
async def test_the_shop_keeps_its_document(
    shop: Mesh, tmp_path: Path, who: str, reached: int
) -> None:
    """No answer is a server error or against the document; what it forbids is refused.

    Nobody sees what is another's, and most operations both took and refused something.
    """

    async def judge_round(seed: int) -> Verdict:
        async with aiohttp.ClientSession() as session:
            people = _People(shop, session)
            tokens = await (people.customers() if who == "customers" else people.staff())
        url = shop.endpoints.gateway
        return await judge.judge(url, "shop.toml", _DESCRIPTORS, tmp_path, seed=seed, tokens=tokens)

    verdict = await judge.all_rounds(judge_round)
    assert verdict.operation_count >= 46
    assert verdict.request_count > 1500
    assert len(verdict.operations_with("200")) >= reached
    assert len(verdict.operations_with("400")) >= reached
