"""Validates manifests by kubeconform, strictly: `python -m tests.platform.conform PATH…`.

Kubernetes' own kinds are judged by the schemas of the oldest and the newest version that the charts
are for, custom resources by those of `tests/platform/schemas`. A kind without a schema is an error.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tests.platform.charts import ROOT

KUBERNETES = ("1.30.0", "1.37.0")

_DEFINITIONS = Path(__file__).parent / "schemas"
_TIMEOUT_SECONDS = 600


class _Loader(yaml.CSafeLoader):
    """Takes a bare `=`, which stands in an enum of one definition, for the text that it is."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def definitions() -> Iterator[dict[str, Any]]:
    """Gives the definition of every custom resource, as its project publishes it."""
    for path in sorted(_DEFINITIONS.glob("*/*.yaml")):
        yield yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - safe


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Gives the schema of every custom resource, with the name of its file."""
    for definition in definitions():
        kind, group = definition["spec"]["names"]["kind"].lower(), definition["spec"]["group"]
        for version in definition["spec"]["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            schema["properties"] |= {
                "apiVersion": {"const": f"{group}/{version['name']}"},
                "metadata": {"type": "object"},
            }
            yield f"{kind}-{group}-{version['name']}.json", schema


def _strict(schema: Any) -> Any:
    """Returns a schema that refuses what it does not name, as an API server warns of it."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: _strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get(
        "x-kubernetes-preserve-unknown-fields"
    ):
        result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string") is True:
        result["type"] = ["integer", "string"]
    if schema.get("nullable") is True and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


def main(paths: Sequence[str]) -> int:
    """Validates files and folders; returns 1 if one is refused."""
    with tempfile.TemporaryDirectory() as folder:
        for name, schema in schemas():
            Path(folder, name).write_text(json.dumps(schema), encoding="utf-8")
        custom = f"{folder}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json"
        codes = [
            _kubeconform(version, (_core(version, Path(folder, version)), custom), paths)
            for version in KUBERNETES
        ]
    return max(codes)


def _core(version: str, folder: Path) -> str:
    """Lays out the wheel's schemas so that they refer to one another; returns where they are.

    As they come, their names are URLs, which kubeconform would ask for.
    """
    folder.mkdir()
    wheel = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    for file in (wheel / f"v{version}-local-strict").iterdir():
        text = file.read_text(encoding="utf-8").replace("/api/_definitions", "_definitions")
        text = re.sub(r'"\$id": "', '"$comment": "', text)
        (folder / file.name).write_text(text, encoding="utf-8")
    return f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def _kubeconform(version: str, locations: Sequence[str], paths: Sequence[str]) -> int:
    completed = subprocess.run(  # noqa: S603 - kubeconform, with our own files
        [
            *(ROOT / ".tools/bin/kubeconform", "-strict", "-summary"),
            *("-kubernetes-version", version),
            *(part for each in locations for part in ("-schema-location", each)),
            *paths,
        ],
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    return completed.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
