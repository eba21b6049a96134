"""Which plugins a route has, by its form and its RPC's policy.

| form          | access       | plugins                                                    |
|---------------|--------------|------------------------------------------------------------|
| rest web grpc | PUBLIC       | address limit                                              |
| rest web grpc | USER, ROLE   | access token, address limit                                |
| partner       | PUBLIC       | partner key, group, limit, name                            |
| partner       | USER, ROLE   | access token, partner key, group, limit, name              |
| socket        | any          | address limit: a browser's token is where Kong cannot look |

A route that takes a stream of messages besides has a size of its own. What every route has stands
in `kong/edge.yaml`. The limit per user is the gateway's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from services.local.derived.kong.edge import Edge
from services.local.derived.kong.routes import API_KEY, EdgeRoute
from services.mesh.rates import rate_limit
from souk.mesh.v1.policy_pb2 import Access, RateClass

PARTNERS: Final = "partners"
"""The consumer group that every partner is in."""

PEOPLE: Final = "people"
"""The consumer that holds the keys of access tokens; each signed-in person is it to Kong."""

PARTNER_NAME: Final = "x-souk-partner"
"""The field in which the gateway believes Kong (`gateway/client_address.py`)."""
_CONSUMER_NAME: Final = "x-consumer-username"

_STREAM_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin with its configuration; `name` is that of its KongPlugin in a cluster."""

    name: str
    plugin: str
    config: dict[str, Any]
    counts: bool = False
    """Whether it counts in Redis, whose address and password are then put in."""


ACCESS_TOKEN: Final = Plugin(
    name="access-token",
    plugin="jwt",
    config={
        # One credential for each signing key, found by the `kid` of the token's header.
        "key_claim_name": "kid",
        "claims_to_verify": ["exp", "nbf"],
        # In `authorization` alone: what stands in a URL is logged.
        "uri_param_names": [],
    },
)
_PARTNER_KEY: Final = Plugin(
    name="partner-key",
    plugin="key-auth",
    config={
        "key_names": [API_KEY],
        "key_in_query": False,
        "hide_credentials": True,
    },
)
_PARTNER_GROUP: Final = Plugin(
    name="partner-group",
    plugin="acl",
    config={"allow": [PARTNERS], "include_consumer_groups": True, "hide_groups_header": True},
)
_STREAM_SIZE: Final = Plugin(
    name="stream-size",
    plugin="request-size-limiting",
    config={
        "allowed_payload_size": _STREAM_BYTES,
        "size_unit": "bytes",
    },
)
NO_CONTENT: Final = Plugin(
    name="no-content",
    plugin="request-termination",
    config={"status_code": 204},
)
"""Ends an OPTIONS that `cors` has not answered."""


def plugins_of(edge: Edge, route: EdgeRoute) -> Iterator[Plugin]:
    """Yields the plugins of a route, as the table says."""
    policy = route.rpc.policy
    if policy.access != Access.ACCESS_PUBLIC and route.form != "socket":
        yield ACCESS_TOKEN
    if route.form == "partner":
        yield from (_PARTNER_KEY, _PARTNER_GROUP, partner_limit(policy.rate), _partner_name(edge))
    else:
        yield address_limit(policy.rate)
    if route.rpc.streams_request and route.form in ("rest", "partner"):
        yield _STREAM_SIZE


def _partner_name(edge: Edge) -> Plugin:
    """Returns what tells the gateway which partner calls, in place of the transformer of `edge`.

    That one takes away what Kong says of consumers, since a client could have said it wherever
    Kong has asked for no key; here it has.
    """
    (every_route,) = (each for each in edge.plugins if each["name"] == "request-transformer")
    removed = every_route["config"]["remove"]["headers"]
    kept = [name for name in removed if name != _CONSUMER_NAME]
    rename = {"headers": [f"{_CONSUMER_NAME}:{PARTNER_NAME}"]}
    config = {**every_route["config"], "remove": {"headers": kept}, "rename": rename}
    return Plugin(name="partner-name", plugin="request-transformer", config=config)


def address_limit(rate: RateClass.ValueType) -> Plugin:
    """Returns what limits one client address to the numbers of a rate class."""
    return _limit(f"{_word(rate)}-by-address", "ip", rate_limit(rate).per_address_per_minute)


def partner_limit(rate: RateClass.ValueType) -> Plugin:
    """Returns what limits one partner to the numbers of a rate class."""
    partner = rate_limit(rate).per_partner_per_minute
    return _limit(f"{_word(rate)}-by-partner", "consumer", partner)


def _limit(name: str, by: str, minute: int) -> Plugin:
    return Plugin(
        name=name,
        plugin="rate-limiting",
        config={
            "minute": minute,
            "limit_by": by,
            "policy": "redis",
            # Without Redis nobody is turned away: the gateway and the services still shed.
            "fault_tolerant": True,
        },
        counts=True,
    )


def _word(rate: RateClass.ValueType) -> str:
    return RateClass.Name(rate).removeprefix("RATE_CLASS_").lower()
