"""The service config of a contract: its deadlines, and retries only where they do no harm."""

from services.mesh.service_config import service_config
from tests import echo


def by_method(*, timeouts: bool = True) -> dict[str, dict[str, object]]:
    """Return the method configs by the method's name."""
    config = service_config([echo.SERVICE], timeouts=timeouts)
    return {each["name"][0]["method"]: each for each in config["methodConfig"]}


def test_only_repeatable_rpcs_are_retried() -> None:
    """An RPC that is neither idempotent nor free of side effects is never retried."""
    retried = {name for name, config in by_method().items() if "retryPolicy" in config}
    assert retried == {"Public", "SignedIn", "Write", "Watch", "WatchSignedIn"}


def test_deadlines_are_the_contracts() -> None:
    """Each RPC's timeout is its policy's; an open stream has none."""
    timeouts = {name: config.get("timeout") for name, config in by_method().items()}
    assert ("10s", "2s", None) == (timeouts["Public"], timeouts["WriteOnce"], timeouts["Watch"])


def test_timeouts_can_be_left_out() -> None:
    """A client of grpcio sets the deadlines itself."""
    assert not any("timeout" in config for config in by_method(timeouts=False).values())


def test_load_is_spread_and_retries_are_throttled() -> None:
    """Calls go to all addresses in turn, and retries stop when most calls fail."""
    config = service_config([echo.SERVICE])
    assert ([{"round_robin": {}}], True) == (
        config["loadBalancingConfig"],
        config["retryThrottling"]["maxTokens"] > 0,
    )
