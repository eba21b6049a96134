"""WatchOrder, ReplayEvents, and what is published."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import json_format
from redis.asyncio import Redis

from services.mesh.ids import new_id
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1 import order_events_pb2, order_pb2
from souk.order.v1.order_service_pb2 import (
    CancelOrderRequest,
    ReplayEventsRequest,
    WatchOrderRequest,
    WatchOrderResponse,
)
from tests.conftest import Eventually
from tests.integration.order.conftest import (
    DECLINED,
    Person,
    Shop,
    create_order,
    person,
    refusal,
)
from tests.integration.order.faults import BEFORE

NOTIFICATION = (("x-souk-service", "notification"),)
PUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


def watch(shop: Shop, order_id: str, who: Person) -> AsyncIterator[WatchOrderResponse]:
    """Calls WatchOrder."""
    call = shop.stub.WatchOrder(WatchOrderRequest(order_id=order_id), metadata=who.metadata)
    return aiter(call)


async def test_a_watcher_is_told_now_and_whenever_it_changes(shop: Shop) -> None:
    """The present state comes first, then what follows, and the stream ends with a final state."""
    customer = person()
    product_id = shop.world.warehouse.add()
    fault = shop.world.faults.hang("Authorize", product_id, when=BEFORE)
    placing = asyncio.create_task(shop.place(create_order(product_id), customer))
    await fault.reached.wait()
    order_id = await shop.order_about(product_id)
    stream = watch(shop, order_id, customer)
    first = await anext(stream)
    fault.ended.set()
    await placing
    cancel = CancelOrderRequest(order_id=order_id)
    await shop.stub.CancelOrder(cancel, metadata=customer.metadata)
    later = [response.order.state async for response in stream]
    assert first.order.state == order_pb2.ORDER_STATE_STOCK_RESERVED
    assert later == sorted(set(later))
    assert later[-1] == order_pb2.ORDER_STATE_REFUNDED


async def test_a_watch_outlives_the_listening_connection(
    shop: Shop, eventually: Eventually
) -> None:
    """When the database drops the connection that listens, watchers are told all the same."""
    customer = person()
    order = await shop.place(create_order(shop.world.warehouse.add()), customer)
    stream = watch(shop, order.order_id, customer)
    await anext(stream)
    await shop.conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def cancelled() -> bool:
        request = CancelOrderRequest(order_id=order.order_id)
        await asyncio.gather(
            shop.stub.CancelOrder(request, metadata=customer.metadata), return_exceptions=True
        )
        return await shop.is_in(order.order_id, "REFUNDED")

    await eventually(cancelled)
    async with asyncio.timeout(60):
        states = [response.order.state async for response in stream]
    assert states[-1] == order_pb2.ORDER_STATE_REFUNDED


async def test_a_watch_of_a_final_order_ends_at_once(shop: Shop) -> None:
    """Watching an order that can't change any more gives it once."""
    customer = person()
    request = create_order(shop.world.warehouse.add(), token=DECLINED)
    order_id = (await refusal(shop.place(request, customer))).metadata["order_id"]
    responses = [response async for response in watch(shop, order_id, customer)]
    assert [each.order.state for each in responses] == [order_pb2.ORDER_STATE_REJECTED]


async def test_another_s_order_is_not_watched(shop: Shop) -> None:
    """Watching another's order fails as if it did not exist."""
    order = await shop.place(create_order(shop.world.warehouse.add()), person())
    error = await refusal(anext(watch(shop, order.order_id, person())))
    assert (error.code, error.reason) == ("NOT_FOUND", "ORDER_NOT_FOUND")


async def test_what_happens_is_published(
    shop: Shop, redis_url: str, eventually: Eventually
) -> None:
    """Each state that others care about is an entry of the stream, once and in its order."""
    customer = person()
    product_id = shop.world.warehouse.add()
    order = await shop.place(create_order(product_id, quantity=2), customer)
    cancel = CancelOrderRequest(order_id=order.order_id)
    await shop.stub.CancelOrder(cancel, metadata=customer.metadata)

    async def all_published() -> bool:
        return int(await shop.conn.fetchval(PUBLISHED)) == 0

    await eventually(all_published)
    events = [event async for event in _stream(redis_url) if event.aggregate_id == order.order_id]
    assert [(event.type, event.sequence) for event in events] == [
        ("order.created", 1),
        ("order.confirmed", 2),
        ("order.refunded", 3),
    ]
    confirmed = order_events_pb2.OrderConfirmed()
    assert events[1].payload.Unpack(confirmed)
    assert (confirmed.user_id, confirmed.total, confirmed.piece_count, confirmed.payment_id) == (
        customer.user_id,
        order.total,
        2,
        order.payment_id,
    )


async def test_events_are_replayed_as_they_were(
    shop: Shop, redis_url: str, eventually: Eventually
) -> None:
    """A replay gives the published events again, with the same ids and contents."""
    product_id = shop.world.warehouse.add()
    order = await shop.place(create_order(product_id), person())

    async def all_published() -> bool:
        return int(await shop.conn.fetchval(PUBLISHED)) == 0

    await eventually(all_published)
    published = [each async for each in _stream(redis_url) if each.aggregate_id == order.order_id]
    stream = shop.stub.ReplayEvents(ReplayEventsRequest(), metadata=NOTIFICATION)
    replayed = [response.event async for response in stream]
    assert [event for event in replayed if event.aggregate_id == order.order_id] == published


async def test_a_replay_begins_at_its_time(shop: Shop) -> None:
    """Nothing older than the time asked for is replayed."""
    await shop.place(create_order(shop.world.warehouse.add()), person())
    request = ReplayEventsRequest()
    request.since.FromDatetime(datetime.now(UTC) + timedelta(minutes=1))
    stream = shop.stub.ReplayEvents(request, metadata=NOTIFICATION)
    assert [response async for response in stream] == []


async def test_events_are_confirmed_by_their_ids(shop: Shop) -> None:
    """Who asks for certain events gets those that were committed, and no other."""
    order = await shop.place(create_order(shop.world.warehouse.add()), person())
    rows = await shop.conn.fetch(
        "SELECT event_id FROM outbox WHERE aggregate_id = $1 ORDER BY sequence", order.order_id
    )
    known = str(rows[1]["event_id"])
    request = ReplayEventsRequest(event_ids=[str(new_id()), known])
    stream = shop.stub.ReplayEvents(request, metadata=NOTIFICATION)
    assert [response.event.event_id async for response in stream] == [known]


async def test_people_can_t_replay(shop: Shop) -> None:
    """A replay is for services alone."""
    stream = shop.stub.ReplayEvents(ReplayEventsRequest(), metadata=person("admin").metadata)
    assert (await refusal(stream.read())).code == "PERMISSION_DENIED"


async def _stream(redis_url: str) -> AsyncIterator[Event]:
    async with Redis.from_url(redis_url) as redis:
        entries: Any = await redis.xrange("souk:events:order")
        for _, entry in entries:
            yield json_format.Parse(entry[b"event"], Event())
