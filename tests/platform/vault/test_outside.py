"""A Vault outside of the cluster is not configured so that it would refuse every pod."""

import subprocess
import sys

from services.local.derived.vault import FOLDER
from tests.platform.charts import ROOT


def test_a_vault_outside_of_the_cluster_needs_a_token_to_review_others_by():
    """It has none of its own, and a pod's, which is for Vault, is none for the API server."""
    completed = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, ROOT / FOLDER / "configure.py"],
        env={"OUTSIDE_KUBERNETES": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    told = (completed.returncode, completed.stderr)
    assert (2, "configure: KUBERNETES_REVIEWER_TOKEN is not set\n") == told
