"""The staff reconciles payments through the gateway, as the runbook says."""

from tests.e2e.conftest import Rest, SignIn


async def test_an_administrator_reconciles_and_lists(rest: Rest, sign_in: SignIn) -> None:
    """What is open after a reconciliation is what is listed."""
    admin = rest(await sign_in("admin"))
    told = await admin.post("/v1/payments:reconcile", {})
    listed = await admin.get("/v1/discrepancies", pageSize="100")
    assert int(told.get("openCount", 0)) == len(listed.get("discrepancies", []))
