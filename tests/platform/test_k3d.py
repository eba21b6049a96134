"""The cluster on a laptop is described as k3d, Kubernetes and the charts want it."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from tests.platform.charts import CHARTS, LOCAL, layer_of
from tests.platform.objects import Objects, environment

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).parent / "schemas"
CLUSTER = yaml.safe_load((ROOT / "k3d/cluster.yaml").read_text(encoding="utf-8"))
MANIFESTS = sorted((ROOT / "k3d").glob("*/*.yaml"))


def test_the_cluster_file_fits_its_schema():
    """k3d would refuse a misspelt option only when somebody runs it."""
    schema = json.loads((SCHEMAS / "k3d/schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(CLUSTER, schema)


def test_only_this_machine_reaches_it():
    """Kong's port and the registry's are on loopback."""
    ports = [each["port"] for each in CLUSTER["ports"]]
    registry = CLUSTER["registries"]["create"]
    assert {"127.0.0.1"} == {registry["host"], *(port.split(":")[0] for port in ports)}


def test_images_are_pulled_from_the_registry_they_are_pushed_to():
    """Nodes know it by the name that the cluster's file gives it, this machine by its port."""
    registry = CLUSTER["registries"]["create"]
    script = (ROOT / "k3d/up").read_text(encoding="utf-8")
    layers = [
        yaml.safe_load((ROOT / "charts" / chart / "values-local.yaml").read_text())
        for chart in CHARTS
    ]
    pulled = {
        *(layer["image"]["registry"] for layer in layers),
        *re.findall(r"\|IMAGE\|(\S+)/setup:", script),
    }
    assert {f"{registry['name']}:5000/souk"} == pulled
    assert f"\nPUSH=localhost:{registry['hostPort']}/souk\n" in script


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_pods_are_restricted(path):
    """Each pod satisfies the "restricted" level that its namespace enforces."""
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if "template" not in document.get("spec", {}):
            continue
        pod = document["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


def test_every_namespace_is_restricted():
    """Pod Security admission is told, so that a chart which asks for more is refused here too."""
    text = (ROOT / "k3d/infrastructure/namespaces.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        labels = document["metadata"]["labels"]
        assert labels == {"pod-security.kubernetes.io/enforce": "restricted"}


def test_the_values_of_a_laptop_are_all_that_a_laptop_needs():
    """Helm is told which image, and nothing that values-local.yaml should have said."""
    script = (ROOT / "k3d/up").read_text(encoding="utf-8")
    assert re.findall(r"--set\S* \"?([\w.]+)=", script) == ["image.tag"]


def test_spans_go_where_somebody_takes_them(charts):
    """The endpoint of the services, and Kong's, is a Service of the manifests with a pod."""
    by_name = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all((ROOT / "k3d/infrastructure/monitoring.yaml").read_text())
    }
    service = by_name["Service", "otel-collector"]
    (container,) = by_name["Deployment", "jaeger"]["spec"]["template"]["spec"]["containers"]
    listening = {port["name"]: port["containerPort"] for port in container["ports"]}
    served = {port["port"] for port in service["spec"]["ports"]}
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == listening

    order = Objects(charts.objects(layer_of("order", LOCAL)))
    kong = yaml.safe_load((ROOT / "kong/edge.yaml").read_text())["plugins"]
    (traces,) = [each for each in kong if each["name"] == "opentelemetry"]
    for url in (
        environment(order.container)["OTEL_EXPORTER_OTLP_ENDPOINT"],
        traces["config"]["traces_endpoint"],
    ):
        assert urlsplit(url).hostname == "otel-collector.monitoring.svc"
        assert urlsplit(url).port in served


def test_the_script_is_bash():
    """Bash reads it to its end."""
    done = subprocess.run(  # noqa: S603  # a file of ours
        ["/usr/bin/env", "bash", "-n", ROOT / "k3d/up"],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == b""
