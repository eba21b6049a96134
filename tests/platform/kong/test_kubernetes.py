"""In a cluster Kong gets the same routes, plugins and Services."""

import re

import pytest

from tests.platform.kong import schema_faults
from tests.platform.kong.files import ROUTES, kubernetes, plugins


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
