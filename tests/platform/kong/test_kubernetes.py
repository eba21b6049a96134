"""In a cluster Kong gets the same routes, plugins and Services."""

import re

import pytest

from tests.platform.charts import PRODUCTION, Charts, layer_of
from tests.platform.kong import schema_faults
from tests.platform.kong.files import ROUTES, kubernetes, plugins
from tests.platform.objects import Objects


def test_kong_accepts_the_plugins_of_the_cluster():
    """They are of the same options as those of kong.yaml."""
    faults = [
        f"{each['metadata']['name']}: {fault}"
        for each in kubernetes("plugins.yaml")
        for fault in schema_faults.plugin_faults(
            each["plugin"], each["config"], each.get("protocols", ["http"])
        )
    ]
    assert faults == []


@pytest.mark.parametrize("name", ["gateway-api.yaml", "ingress.yaml"])
def test_routes_name_plugins_and_services_that_exist(name: str):
    """A misspelt reference would leave a route without its limits, or without a backend."""
    known_plugins = {each["metadata"]["name"] for each in kubernetes("plugins.yaml")}
    known_services = {each["metadata"]["name"] for each in kubernetes("services.yaml")}
    objects = kubernetes(name)
    assert len(objects) == len(ROUTES)
    for each in objects:
        annotation = each["metadata"]["annotations"]["konghq.com/plugins"]
        assert set(annotation.split(",")) <= known_plugins
        assert set(re.findall(r"'name': '(kong-[a-z0-9-]+)'", str(each["spec"]))) <= known_services


def test_every_route_of_a_cluster_has_the_plugins_of_kong_yaml():
    """Both are derived from the same table."""
    kinds = {each["metadata"]["name"]: each["plugin"] for each in kubernetes("plugins.yaml")}
    for each in kubernetes("gateway-api.yaml"):
        annotation = each["metadata"]["annotations"]["konghq.com/plugins"]
        _, route = next(
            found
            for name, found in ROUTES.items()
            if name.replace(".", "-") == each["metadata"]["name"]
        )
        assert [kinds[name] for name in annotation.split(",")] == list(plugins(route))


def test_kong_counts_in_the_redis_of_the_services(charts: Charts):
    """Address and TLS are those of the URL that the gateway is given; the account is a Secret's."""
    gateway = Objects(charts.objects(layer_of("gateway", PRODUCTION)))
    annotations = gateway.deployment["template"]["metadata"]["annotations"]
    template = annotations["vault.hashicorp.com/agent-inject-template-redis-url"]
    ((scheme, host, port),) = re.findall(r"(\w+)://.*@([\w.]+):(\d+)/", template)
    assert scheme == "rediss"

    for plugin in kubernetes("plugins.yaml"):
        if plugin["plugin"] != "rate-limiting":
            continue
        assert plugin["config"]["redis"] == {
            "host": host,
            "port": int(port),
            "ssl": True,
            "ssl_verify": True,
            "server_name": host,
        }
        assert {each["path"]: each["valueFrom"] for each in plugin["configPatches"]} == {
            f"/redis/{key}": {"secretKeyRef": {"name": "kong-redis", "key": key}}
            for key in ("username", "password")
        }
