"""Checks the platform's files with their own tools: `python -m tests.platform.check`.

Each part of the platform adds its lines to `CHECKS`, and what they need to `tools.TOOLS`.
"""

import sys

from services.local import check
from services.local.check import Check

CHECKS = (
    # Linted and rendered with every layer of values; what follows reads what was rendered.
    Check(name="helm", command=("python", "-m", "tests.platform.charts"), needs=("helm",)),
    Check(
        name="kubeconform",
        command=("python", "-m", "tests.platform.conform", ".tools/rendered"),
        needs=("helm", "kubeconform", "kubernetes-validate"),
    ),
    Check(
        name="kubeconform k3d",
        command=("python", "-m", "tests.platform.conform", "k3d/infrastructure", "k3d/apps"),
        needs=("kubeconform", "kubernetes-validate"),
    ),
    Check(
        name="hadolint",
        command=("hadolint", "deploy/docker/Dockerfile", "tests/platform/stand_ins/Dockerfile"),
        needs=("hadolint",),
    ),
    Check(
        name="checkov charts",
        command=("checkov", "--config-file", "tests/platform/checkov-kubernetes.yaml"),
        needs=("helm", "checkov"),
    ),
    Check(
        name="kubeconform edge",
        command=(
            *("python", "-m", "tests.platform.conform"),
            *("kong/kubernetes", "deploy/gitops/production", "deploy/gitops/k3d"),
        ),
        needs=("kubeconform", "kubernetes-validate"),
    ),
    # With shellcheck it judges the scripts in the workflows too.
    Check(name="workflows", command=("actionlint",), needs=("actionlint", "shellcheck")),
    Check(
        name="gitops script",
        command=("shellcheck", "deploy/gitops/bump-image.sh"),
        needs=("shellcheck",),
    ),
    Check(
        name="deck validate",
        command=("deck", "--analytics=false", "file", "validate", "kong/kong.yaml"),
        needs=("deck",),
    ),
    Check(
        name="deck lint",
        command=(
            *("deck", "--analytics=false", "file", "lint"),
            *("--state", "kong/kong.yaml", "kong/lint.yaml"),
        ),
        needs=("deck",),
    ),
    Check(
        name="checkov AWS",
        command=("checkov", "--config-file", "tests/platform/checkov-terraform.yaml"),
        needs=("checkov",),
    ),
    Check(
        name="terraform fmt",
        command=("terraform", "fmt", "-check", "-diff", "-recursive", "deploy/aws"),
        needs=("terraform",),
    ),
)


if __name__ == "__main__":
    sys.exit(check.main(CHECKS))
