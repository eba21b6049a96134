"""In a cluster Kong gets the same routes, in objects that an API server accepts."""

import re

import pytest

from tests.platform import crds
from tests.platform.kong import schema_faults
from tests.platform.kong.files import KONG, ROUTES, kubernetes, plugins

FILES = sorted(path.name for path in (KONG / "kubernetes").rglob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_the_api_server_would_accept_the_objects(name: str):
    """Custom resources have only fields that their definitions know."""
    objects = [each for each in kubernetes(name) if crds.is_known(each)]
    assert [fault for each in objects for fault in crds.faults(each)] == []


def test_a_misspelt_field_is_refused():
    """The definitions are read strictly."""
    plugin = next(each for each in kubernetes("plugins.yaml") if each["kind"] == "KongPlugin")
    assert "configs" in "".join(crds.faults(plugin | {"configs": {}}))


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
