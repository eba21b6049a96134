"""Every fault that can be injected, by its name; its docstring says what it is."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.chaos.faults import changes, clients, crashes, network, stores
from tests.chaos.scene import Fault

_FAULTS: tuple[Fault, ...] = (
    crashes.kill_order_between_commit_and_publish,
    crashes.kill_relay_between_xadd_and_mark,
    stores.redis_down,
    stores.redis_emptied,
    clients.provider_times_out_after_charging,
    clients.provider_hangs,
    crashes.kill_payment_before_the_provider,
    crashes.kill_payment_after_the_provider,
    clients.fifty_identical_posts,
    clients.same_key_with_another_body,
    clients.same_key_of_another_user,
    clients.hundred_buyers_for_the_last_item,
    changes.reservation_expires_in_the_payment,
    changes.clock_wrong_by_five_minutes,
    stores.postgres_backends_killed,
    stores.postgres_killed,
    crashes.stop_the_consumer,
    stores.poison_events,
    network.order_and_payment_black_holed,
    clients.client_gone_at_every_millisecond,
    changes.rolling_restart,
    changes.migration_under_load,
    clients.three_times_the_load,
    stores.mongo_restarted_in_a_reservation,
    crashes.kill_order_in_the_saga,
    crashes.kill_order_around_the_answer,
    crashes.kill_payment_around_its_answer,
    crashes.kill_product_in_a_reservation,
    crashes.kill_consumer_around_the_commit,
    crashes.kill_anything,
    crashes.stop_anything,
    stores.a_store_hangs,
    network.answers_of_payment_lost,
    network.connections_cut,
    network.network_slow,
    network.requests_to_the_provider_duplicated,
    network.provider_unreachable,
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.__name__: fault for fault in _FAULTS})
"""All faults, in the order in which a short run injects them."""
