"""A service can read what its chart tells it, and its chart tells it nothing else."""

import dataclasses
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gateway import settings as gateway_settings
from services.local.derived import settings_schema
from services.mesh import settings
from tests.platform.charts import CHARTS, LAYERS, PRODUCTION, ROOT, Charts, layer_of
from tests.platform.objects import Objects, environment

NOT_OURS = {"OTEL_EXPORTER_OTLP_ENDPOINT"}
"""Read by OpenTelemetry (services/mesh/traces.py)."""


def settings_of(chart: str) -> type[Any]:
    """Returns the dataclass that the process reads."""
    if chart == "gateway":
        return gateway_settings.GatewaySettings
    cls: type[Any] = import_module(f"services.{chart}.settings").Settings
    return cls


def container(charts: Charts, chart: str, name: str) -> dict[str, Any]:
    """Renders a chart and returns its container."""
    return Objects(charts.objects(layer_of(chart, name))).container


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_the_service_reads_what_its_chart_sets(charts, chart, layer, tmp_path):
    """The environment, with files in the place of secrets, makes settings that are accepted."""
    secret = tmp_path / "secret"
    secret.write_text("value", encoding="utf-8")
    environ = {
        name: str(secret) if name.endswith("_FILE") else value
        for name, value in environment(container(charts, chart, layer)).items()
    }
    settings.load(settings_of(chart), environ)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_sets_nothing_that_its_service_does_not_know(charts, chart, layer):
    """A variable that no field reads would be a setting that does nothing."""
    fields = {f"SOUK_{each.name.upper()}" for each in dataclasses.fields(settings_of(chart))}
    variables = environment(container(charts, chart, layer)).keys() - NOT_OURS
    assert set() == {name.removesuffix("_FILE") for name in variables} - fields


@pytest.mark.parametrize("chart", CHARTS)
def test_every_setting_has_its_place_in_the_values(chart):
    """Each field is a value, a secret, or set by the chart; Helm refuses any other name."""
    schema = json.loads(Path(ROOT, "charts", chart, "values.schema.json").read_text())
    places = {
        *schema["properties"]["settings"]["properties"],
        *schema["properties"]["meshSettings"]["properties"],
        *schema["$defs"]["secrets"]["propertyNames"]["enum"],
        *settings_schema.SET_BY_THE_CHART,
        *settings_schema.SET_BY_THE_PROCESS,
    }
    assert set() == {each.name for each in dataclasses.fields(settings_of(chart))} - places


def test_what_the_chart_sets_is_set(charts):
    """Names that are no values are those that the library chart gives; mTLS is the default."""
    variables = environment(container(charts, "order", PRODUCTION))
    names = {f"SOUK_{name.upper()}" for name in settings_schema.SET_BY_THE_CHART - {"tls"}}
    assert set() == names - variables.keys()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gateway_reads_its_command_line(charts, layer):
    """Every service of the contracts has an upstream, the storefront in the same process."""
    rendered = container(charts, "gateway", layer)
    options = gateway_settings.parse(rendered["args"])
    variables = environment(rendered)
    assert "localhost:50050" == options.upstreams["souk.storefront.v1.StorefrontService"]
    assert "0.0.0.0:50050" == variables["SOUK_LISTEN"]
    assert variables["SOUK_TLS_CA"] == str(options.upstream_ca)
