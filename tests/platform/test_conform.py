"""The schemas that manifests are judged by refuse what an API server would drop without a word."""

from pathlib import Path

import pytest

from tests.platform import conform
from tests.platform.charts import ROOT

MISSPELT = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: core}
spec: {maxUnavailabel: 1}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: custom}
spec: {selector: {}, endpoints: [{prot: metrics}]}
---
apiVersion: example.com/v1
kind: Unknown
metadata: {name: unknown}
"""


def test_a_misspelt_field_and_an_unknown_kind_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """Each fault is named, in Kubernetes' own kinds as in custom resources."""
    if not (ROOT / ".tools/bin/kubeconform").exists():
        pytest.skip("kubeconform is not built: `make tools`")
    pytest.importorskip("kubernetes_validate", reason="no schemas: `make venv`")
    manifest = tmp_path / "misspelt.yaml"
    manifest.write_text(MISSPELT, encoding="utf-8")
    assert 1 == conform.main([str(manifest)])
    told = capfd.readouterr().out
    for text in ("'maxUnavailabel' not allowed", "'prot' not allowed", "schema for Unknown"):
        assert text in told
