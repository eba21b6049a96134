"""Containers and clusters name every service of the topology, and nothing that is none.

These files are written by hand, since each says more of a service than that it exists. What a new
service still lacks, or a deleted one has left behind, fails with the file and the name.
"""

import re
from pathlib import Path

import pytest
import yaml

from services.local import topology

ROOT = Path(__file__).parents[2]
SERVICES = {service.name for service in topology.SERVICES}
DEPLOYED = SERVICES | {"gateway"}
LOCAL = DEPLOYED | {"sandbox"}
"""With the payment provider's stand-in, which production has not."""


def words(path: str, pattern: str) -> set[str]:
    """Gives the words of all that a pattern captures in a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return {word for found in re.findall(pattern, text, re.MULTILINE) for word in _words(found)}


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z][a-z0-9-]*", text)


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("deploy/docker/Dockerfile", r"^FROM mesh AS (\S+)$", LOCAL | {"setup"}),
        ("k3d/up", r"^SERVICES=\((.*)\)$", LOCAL),
        ("deploy/aws/variables.tf", r'variable "services" \{[^}]*default += \[(.*)\]', DEPLOYED),
        (".github/workflows/release.yml", r"^ +service: \[(.*)\]$", DEPLOYED),
        (".github/workflows/release.yml", r"^ +for service in (.*); do$", DEPLOYED),
        ("deploy/vault/access.yaml", r"^  (\w+): \[souk/", DEPLOYED),
    ],
)
def test_a_list_has_every_service(path: str, pattern: str, expected: set[str]):
    """What is expected and what stands there are the same names."""
    found = words(path, pattern)
    assert (set(), set()) == (expected - found, found - expected), f"lacks, has too much: {path}"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("deploy/gitops/images/production", {f"{name}.yaml" for name in DEPLOYED}),
        ("deploy/gitops/images/k3d", {f"{name}.yaml" for name in LOCAL}),
        ("charts", LOCAL | {"service-lib", "monitoring"}),
    ],
)
def test_a_folder_has_every_service(folder: str, expected: set[str]):
    """Each has its file, or its folder, and there are no others."""
    found = {path.name for path in (ROOT / folder).iterdir()}
    assert (set(), set()) == (expected - found, found - expected), f"lacks, has too much: {folder}"


@pytest.mark.parametrize("name", sorted(DEPLOYED))
def test_a_chart_is_whole(name: str):
    """Beside what is derived a chart has four files of its own."""
    files = ("Chart.yaml", "values.yaml", "values-local.yaml", "templates/all.yaml")
    lacking = {name for each in files if not (ROOT / "charts" / name / each).exists()}
    assert (set(), set()) == (lacking, set()), f"lacks, has too much: charts/{name}"


def test_compose_has_every_service():
    """Each runs, is given its own folder of secrets, and is migrated first if it has a database."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    migrated = {f"{name}-migrate" for name in topology.services_with("postgres")}
    built = {name for name, each in compose["services"].items() if "build" in each}
    expected = LOCAL | migrated | {"setup", "databases", "demo"}
    where = "lacks, has too much: compose.yaml"
    assert (set(), set()) == (expected - built, built - expected), where
    mounted = {each.partition(":")[0] for each in compose["services"]["setup"]["volumes"]}
    assert set() == LOCAL - mounted
    assert set() == LOCAL - compose["volumes"].keys()
