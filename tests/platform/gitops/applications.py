"""Reads the Applications that Argo CD would make of `deploy/gitops/<environment>`.

An ApplicationSet's templates are Go's, with sprig's functions; Helm's engine is the same, and makes
them here.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.platform.charts import HELM

GITOPS = Path("deploy") / "gitops"

Object = dict[str, Any]

_CHART = {
    "apiVersion": "v2",
    "name": "applications",
    "version": "0.0.0",
}
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


def manifests(root: Path, environment: str) -> list[Object]:
    """Returns every object that the environment's root Application applies."""
    source = of_root(root, environment).manifest["spec"]["source"]
    return [
        each
        for path in sorted((root / source["path"]).glob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def of_root(root: Path, environment: str) -> Application:
    """Returns what is applied by hand."""
    text = (root / GITOPS / environment / "root.yaml").read_text(encoding="utf-8")
    return Application(manifest=yaml.safe_load(text))


def of_set(application_set: Object, scratch: Path) -> list[Application]:
    """Returns what an ApplicationSet generates; `scratch` is an empty folder to work in."""
    spec = application_set["spec"]
    (generator,) = spec["generators"]
    templates = scratch / "templates"
    templates.mkdir(parents=True)
    (scratch / "Chart.yaml").write_text(yaml.safe_dump(_CHART))
    (scratch / "values.yaml").write_text(yaml.safe_dump(generator["list"]))
    (templates / "application.yaml").write_text(_EACH % yaml.safe_dump(spec["template"]))
    rendered = yaml.safe_load_all(_helm("template", "applications", str(scratch)))
    return [Application(manifest=each) for each in rendered if each]


def _helm(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - Helm, with our own files
        [HELM, *arguments], check=True, capture_output=True, text=True, timeout=180
    ).stdout
