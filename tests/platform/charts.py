"""Renders the charts with Helm, as Argo CD does: `python -m tests.platform.charts` renders all.

    .tools/rendered/<chart>-<layer>.yaml

    layer := "production"   values.yaml
           | "local"        values.yaml, values-local.yaml
           | <name>         values.yaml, ci/<name>-values.yaml

The charts are copied before their dependency is built, so that the work tree stays as it is. Those
of services have an image, whose tag is given; any other chart is rendered as it stands.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RENDERED = ROOT / ".tools" / "rendered"
HELM = ROOT / ".tools" / "bin" / "helm"

EVERY_CHART = tuple(
    sorted(
        path.parent.name
        for path in ROOT.glob("charts/*/Chart.yaml")
        if "\ntype: library\n" not in path.read_text(encoding="utf-8")
    )
)
CHARTS = tuple(sorted(path.parents[1].name for path in ROOT.glob("charts/*/templates/all.yaml")))
PRODUCTION, LOCAL = LAYERS = ("production", "local")
NAMESPACE = "souk"

_IN_NAMESPACE = ("--namespace", NAMESPACE)
_TAG = "image.tag=0.1.0"
_TIMEOUT_SECONDS = 180


class HelmFailed(Exception):
    """Helm refused; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A chart with the files that go on top of its values.yaml."""

    chart: str
    name: str
    files: tuple[str, ...] = ()


class Charts:
    """A copy of the charts with their dependency built."""

    def __init__(self, folder: Path) -> None:
        """Copies into `folder`, which is empty."""
        self._folder = folder / "charts"
        shutil.copytree(
            ROOT / "charts", self._folder, ignore=shutil.ignore_patterns("*.tgz", "Chart.lock")
        )
        self._rendered: dict[tuple[Layer, tuple[str, ...]], str] = {}
        for chart in CHARTS:
            self._helm("dependency", "build", str(self._folder / chart))

    def lint(self, layer: Layer) -> str:
        """Returns what `helm lint --strict` says. Raises HelmFailed."""
        return self._helm("lint", "--strict", *_IN_NAMESPACE, *self.arguments(layer))

    def template(self, layer: Layer, *settings: str) -> str:
        """Returns the objects as YAML; `settings` are like `image.tag=1`. Raises HelmFailed."""
        key = (layer, settings)
        if key not in self._rendered:
            arguments = (*_IN_NAMESPACE, *self.arguments(layer, *settings))
            self._rendered[key] = self._helm("template", layer.chart, *arguments)
        return self._rendered[key]

    def objects(self, layer: Layer, *settings: str) -> list[dict[str, Any]]:
        """Returns the objects. Raises HelmFailed."""
        return [each for each in yaml.safe_load_all(self.template(layer, *settings)) if each]

    def arguments(self, layer: Layer, *settings: str) -> list[str]:
        """Returns the chart with its values, as Helm's commands take them."""
        chart = self._folder / layer.chart
        files = [part for file in layer.files for part in ("--values", str(chart / file))]
        given = (_TAG, *settings) if layer.chart in CHARTS else settings
        values = [part for each in given for part in ("--set", each)]
        return [str(chart), *files, *values]

    def _helm(self, *arguments: str) -> str:
        completed = subprocess.run(  # noqa: S603 - Helm, with our own charts
            [HELM, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
        if completed.returncode:
            raise HelmFailed(completed.stdout + completed.stderr)
        return completed.stdout


def layers(chart: str) -> Iterator[Layer]:
    """Gives every layer of a chart."""
    yield Layer(chart, PRODUCTION)
    if (ROOT / "charts" / chart / "values-local.yaml").exists():
        yield Layer(chart, LOCAL, ("values-local.yaml",))
    for path in sorted((ROOT / "charts" / chart / "ci").glob("*-values.yaml")):
        yield Layer(chart, path.name.removesuffix("-values.yaml"), (f"ci/{path.name}",))


def layer_of(chart: str, name: str) -> Layer:
    """Gives the layer of a chart that is called so. Raises StopIteration."""
    return next(each for each in layers(chart) if each.name == name)


def render() -> list[str]:
    """Lints and renders every layer of every chart; returns what Helm refused."""
    shutil.rmtree(RENDERED, ignore_errors=True)
    RENDERED.mkdir(parents=True)
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        charts = Charts(Path(folder))
        for chart in EVERY_CHART:
            for each in layers(chart):
                try:
                    charts.lint(each)
                    text = charts.template(each)
                except HelmFailed as error:
                    refused.append(f"{chart}, {each.name}: {error}")
                else:
                    (RENDERED / f"{chart}-{each.name}.yaml").write_text(text, encoding="utf-8")
    return refused


if __name__ == "__main__":
    sys.exit("\n".join(render()) or None)
