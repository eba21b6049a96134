"""What tools that others made say of the OpenAPI documents."""

import copy
import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tests import node_tools
from tests.unit.gateway.documents import DOCUMENTS, shop


def _written(document: object, folder: Path) -> Path:
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def _lint(document: object, folder: Path) -> str:
    return node_tools.run(
        "spectral",
        *("lint", "--fail-severity", "hint", "--ruleset", node_tools.HERE / ".spectral.yaml"),
        _written(document, folder),
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_spectral_finds_nothing(document, tmp_path):
    """Spectral has no complaint of any severity, by all its rules for OpenAPI."""
    assert "No results" in _lint(document(), tmp_path)


def test_spectral_would_find_something(tmp_path):
    """The same run complains of an example that breaks its schema."""
    document = copy.deepcopy(shop())
    body = document["paths"]["/v1/users"]["post"]["requestBody"]["content"]["application/json"]
    body["example"]["email"] = 5
    with pytest.raises(AssertionError, match="oas3-valid-media-example"):
        _lint(document, tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_openapi_spec_validator_finds_nothing(document):
    """openapi-spec-validator takes the document for OpenAPI 3.1, examples and defaults included."""
    validate(document())
    assert "3.1.0" == document()["openapi"]
