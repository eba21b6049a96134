"""Reads the Applications that Argo CD would make of `deploy/gitops/apps`.

An ApplicationSet's templates are Go's, with sprig's functions; Helm's engine is the same, and makes
them here.
"""

import itertools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.platform.charts import HELM

APPS = Path("deploy") / "gitops" / "apps"

Object = dict[str, Any]

_CHART = {
    "apiVersion": "v2",
    "name": "applications",
    "version": "0.0.0",
}
# Each template is a file of its own, since `missingkey=error` is not Helm's.
_EACH = "{{- range .Values.elements }}\n---\n%s\n{{- end }}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One Application: its manifest, and where its objects come from."""

    manifest: Object

    @property
    def name(self) -> str:
        """Its name, like `production-order`."""
        return str(self.manifest["metadata"]["name"])

    @property
    def project(self) -> str:
        """The AppProject that says what it may do."""
        return str(self.manifest["spec"]["project"])

    @property
    def path(self) -> str:
        """The folder of its chart or of its files."""
        return str(self.manifest["spec"]["source"]["path"])

    @property
    def value_files(self) -> list[str]:
        """The values of its chart, later ones on top."""
        return list(self.manifest["spec"]["source"]["helm"]["valueFiles"])

    @property
    def release(self) -> str:
        """The name of its Helm release."""
        return str(self.manifest["spec"]["source"]["helm"]["releaseName"])


def manifests(root: Path) -> list[Object]:
    """Returns every object of the folder."""
    return [
        each
        for path in sorted((root / APPS).glob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def of_set(application_set: Object, scratch: Path) -> list[Application]:
    """Returns what an ApplicationSet generates; `scratch` is an empty folder to work in."""
    spec = application_set["spec"]
    elements = list(_elements(spec["generators"]))
    templates = scratch / "templates"
    templates.mkdir(parents=True)
    (scratch / "Chart.yaml").write_text(yaml.safe_dump(_CHART))
    (scratch / "values.yaml").write_text(yaml.safe_dump({"elements": elements}))
    (templates / "a-application.yaml").write_text(_EACH % yaml.safe_dump(spec["template"]))
    (templates / "b-patch.yaml").write_text(_EACH % f"patch: true\n{spec['templatePatch']}")
    rendered = list(yaml.safe_load_all(_helm("template", "applications", str(scratch))))
    made = [each for each in rendered if each and "patch" not in each]
    patches = [each for each in rendered if each and "patch" in each]
    # Helm sorts what it prints by kind and name; each patch is of the element in its place.
    return [Application(manifest=_merged(each, patches[_place(each, elements)])) for each in made]


def _place(manifest: Object, elements: list[dict[str, str]]) -> int:
    names = [f"{each['environment']}-{each['service']}" for each in elements]
    return names.index(manifest["metadata"]["name"])


def _elements(generators: list[Object]) -> Iterator[dict[str, str]]:
    for generator in generators:
        if "matrix" in generator:
            parts = [list(_elements([each])) for each in generator["matrix"]["generators"]]
            for combined in itertools.product(*parts):
                yield {key: value for part in combined for key, value in part.items()}
        else:
            yield from generator["list"]["elements"]


def _merged(target: Object, patch: Object) -> Object:
    """Returns the target with the patch on top (RFC 7396); `patch` itself is no field."""
    merged = json.loads(json.dumps(target))
    for key, value in patch.items():
        if key == "patch":
            continue
        is_object = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if is_object else value
    return dict(merged)


def _helm(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - Helm, with our own files
        [HELM, *arguments], check=True, capture_output=True, text=True, timeout=60
    ).stdout
