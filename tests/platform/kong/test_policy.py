"""Kong lets in whom the contracts let in, as often and as long, by a configuration it accepts."""

from services.local.derived.kong.plugins import PARTNER_NAME, PARTNERS
from services.local.derived.kong.routes import EdgeRoute
from services.mesh.rates import rate_limit
from souk.mesh.v1.policy_pb2 import Access
from tests.platform.kong import schema_faults
from tests.platform.kong.files import CONFIG, EDGE_ROUTES, PUBLIC, ROUTES, environment, plugins

CONSUMER_NAME = "x-consumer-username"
"""What Kong's key-auth says of the consumer, in place of whatever the client has said."""


def test_access_decides_the_plugins():
    """A token is asked for where people sign in, a key of partners; of a WebSocket nothing yet."""
    actual = {name: set(plugins(ROUTES[name][1])) for name in EDGE_ROUTES}
    assert {name: expected_plugins(route) for name, route in EDGE_ROUTES.items()} == actual


def expected_plugins(route: EdgeRoute) -> set[str]:
    """Returns what the table of `services.local.derived.kong.plugins` says, told another way."""
    signed_in = route.rpc.policy.access != Access.ACCESS_PUBLIC and route.form != "socket"
    partner = route.form == "partner"
    stream = route.rpc.streams_request and route.form in ("rest", "partner")
    return {
        *(["jwt"] if signed_in else []),
        *(["key-auth", "acl", "request-transformer"] if partner else []),
        *(["request-size-limiting"] if stream else []),
        "rate-limiting",
    }


def test_the_rate_class_decides_the_limit():
    """The numbers are those of the contract: a partner's for a partner, else of one address."""
    limits = {name: plugins(ROUTES[name][1])["rate-limiting"] for name in EDGE_ROUTES}
    actual = {name: (limit["minute"], limit["limit_by"]) for name, limit in limits.items()}

    assert {name: expected_limit(route) for name, route in EDGE_ROUTES.items()} == actual
    assert {limit["policy"] for limit in limits.values()} == {"redis"}


def expected_limit(route: EdgeRoute) -> tuple[int, str]:
    """Returns calls a minute, and of whom."""
    limit = rate_limit(route.rpc.policy.rate)
    if route.form == "partner":
        return limit.per_partner_per_minute, "consumer"
    return limit.per_address_per_minute, "ip"


def test_only_partners_are_told_of():
    """Kong names a partner to the gateway where it has asked for a key, and nobody else can."""
    (every_route,) = (p for p in CONFIG["plugins"] if p["name"] == "request-transformer")
    removed = set(every_route["config"]["remove"]["headers"])
    assert {CONSUMER_NAME, PARTNER_NAME} <= removed

    for name, route in EDGE_ROUTES.items():
        own = plugins(ROUTES[name][1]).get("request-transformer")
        assert (own is not None) == (route.form == "partner"), name
        if own is not None:
            assert set(own["remove"]["headers"]) == removed - {CONSUMER_NAME}
            assert own["rename"]["headers"] == [f"{CONSUMER_NAME}:{PARTNER_NAME}"]


def test_no_route_is_without_a_limit():
    """Pages and preflights are limited as everything else is."""
    assert [
        name for name, (_, route) in ROUTES.items() if "rate-limiting" not in plugins(route)
    ] == []


def test_only_what_may_be_repeated_is_tried_again():
    """Kong tries another time where the contract says that this does no harm, and no stream."""
    expected = {
        name: int(route.rpc.options.idempotency_level != 0 and not route.is_streaming)
        for name, route in EDGE_ROUTES.items()
    }
    assert expected == {name: ROUTES[name][0]["retries"] for name in EDGE_ROUTES}


def test_kong_waits_as_long_as_the_rpc_may_take():
    """Whoever has the deadline answers before Kong gives up, and a stream may be silent."""
    for name, route in EDGE_ROUTES.items():
        deadline = route.rpc.policy.deadline.ToTimedelta().total_seconds()
        service, kong_route = ROUTES[name]
        waits = service["read_timeout"] / 1000
        if route.rpc.streams_request or route.rpc.streams_response:
            assert (name, waits, kong_route["response_buffering"]) == (name, 3600, False)
        elif route.form == "grpc":
            assert waits > deadline, name
        else:
            assert (name, waits) == (name, deadline + 1)


def test_grpc_goes_to_the_services_over_tls():
    """Every service is asked where it listens, as itself: certificates are checked by this name."""
    asked = {
        (service["host"], service["port"])
        for service, route in ROUTES.values()
        if "grpcs" in route["protocols"] and service["protocol"] == "grpcs"
    }
    services = {rpc.service.split(".")[1] for rpc in PUBLIC} - {"storefront"}

    assert asked == {("gateway", 50050), *((name, 50051) for name in services)}


def test_deck_accepts_the_document():
    """Names, types and references of entities are right, by decK's own schema."""
    assert schema_faults.document_faults(CONFIG) == []


def test_a_misspelt_entity_is_refused():
    """The schema is closed: a field that Kong would refuse is a fault here too."""
    route = {"name": "a", "paths": ["/"], "strip_paths": False}
    document = {"_format_version": "3.0", "services": [{"name": "s", "routes": [route]}]}

    assert "strip_paths" in "".join(schema_faults.document_faults(document))


def test_kong_accepts_every_plugin():
    """Each plugin has only options that Kong 3.9 knows, in protocols that it serves."""
    faults = [
        f"{plugin['name']}: {fault}"
        for plugin in schema_faults.plugins(CONFIG)
        for fault in schema_faults.plugin_faults(
            plugin["name"], plugin["config"], plugin.get("protocols", ["http"])
        )
    ]
    assert faults == []


def test_a_misspelt_option_is_refused():
    """In Kong it would be a 400 that stops all of the configuration."""
    config = {"minutes": 5, "policy": "redis"}
    assert "minutes" in "".join(schema_faults.plugin_faults("rate-limiting", config, ["http"]))


def test_no_secret_is_in_the_file():
    """The password of Redis is read by Kong from its own environment."""
    passwords = {
        each["config"]["redis"]["password"]
        for each in schema_faults.plugins(CONFIG)
        if "redis" in each["config"]
    }

    assert passwords == {"{vault://env/souk-redis-password}"}
    assert CONFIG["consumers"] == [{"username": "people"}]
    assert CONFIG["consumer_groups"] == [{"name": PARTNERS}]


def test_kong_loads_the_plugins_that_are_used():
    """kong.env names them: what is not used cannot be turned on."""
    used = {each["name"] for each in schema_faults.plugins(CONFIG)}
    assert environment()["KONG_PLUGINS"].split(",") == sorted(used)
