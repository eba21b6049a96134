"""Each row of `bad_input.fields` is refused as it says and changes nothing; others go on.

What breaks the rules of a field is in `test_validation`, what is no message in `test_bad_calls`.
"""

import grpc
import pytest
from google.rpc import error_details_pb2

from souk.order.v1 import order_pb2
from tests.contract import scene as scenes
from tests.contract.bad_input.fields import BAD, Bad, update
from tests.contract.conftest import ChannelAs
from tests.contract.details import details_of, reason_of
from tests.contract.scene import Scene
from tests.contract.shop import Shop
from tests.contract.tables import Desk


@pytest.fixture(scope="module")
def process() -> str:
    """Begins with the product service; the others are called as well."""
    return "product"


@pytest.fixture(scope="module")
def scene(shop: Shop, channel_as: ChannelAs) -> Scene:
    """Sets the scene."""
    return scenes.begin(Desk(shop=shop, stub=None, channel_as=channel_as))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_input_is_refused_by_name_and_changes_nothing(scene: Scene, bad: Bad):
    """The answer has the right code and tells the field or the reason; the shop is as before."""
    before = scene.look()

    with pytest.raises(grpc.RpcError) as raised:
        bad.call(scene)

    fields = details_of(raised.value, error_details_pb2.BadRequest).field_violations
    told = {each.field for each in fields} or {reason_of(raised.value)}
    assert (bad.code, {bad.names}) == (raised.value.code(), told)
    assert before == scene.look()


def test_the_scene_is_one_where_changes_show(scene: Scene):
    """What the table calls does change something when it is right."""
    before = scene.look()
    update(title="New")(scene)
    changed = scene.look()
    scene.buy(scene.product, by=scene.owner)

    assert before != changed != scene.look()
    assert scene.order.state == order_pb2.ORDER_STATE_CONFIRMED
