"""What the Terraform files promise, read from the files themselves."""

from pathlib import Path
from typing import Any

import pytest

hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed (make venv)")

FOLDER = Path(__file__).parents[3] / "deploy" / "aws"


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    """Give every resource by `type.name`."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.tf")):
        with path.open() as file:
            document = hcl2.load(file)
        for block in document.get("resource", []):
            for kind, named in block.items():
                for name, body in named.items():
                    found[f"{_bare(kind)}.{_bare(name)}"] = body
    return found


def _bare(text: str) -> str:
    return text.strip('"')


def test_nodes_keep_their_role_from_pods(resources):
    """The metadata service answers with a session's token alone, and one hop away."""
    (options,) = resources["aws_launch_template.node"]["metadata_options"]
    assert _bare(options["http_tokens"]) == "required"
    assert options["http_put_response_hop_limit"] == 1


def test_nodes_may_join_and_pull_and_nothing_else(resources):
    """The node role has AWS' two policies for that, and no policy of an application."""
    attached = [body["policy_arn"] for name, body in resources.items() if "attachment.node" in name]
    assert len(attached) == 1
    assert "AmazonEKSWorkerNodePolicy" in str(resources["aws_iam_role_policy_attachment.node"])
    assert "AmazonEC2ContainerRegistryPullOnly" in str(
        resources["aws_iam_role_policy_attachment.node"]
    )
    inline = [
        name
        for name, body in resources.items()
        if name.startswith("aws_iam_role_policy.") and "aws_iam_role.node" in str(body)
    ]
    assert inline == []


def test_secrets_in_etcd_are_encrypted_and_everything_is_logged(resources):
    """The control plane encrypts Secrets with a key of ours and writes all five logs."""
    cluster = resources["aws_eks_cluster.this"]
    assert "secrets" in str(cluster["encryption_config"])
    assert {_bare(log) for log in cluster["enabled_cluster_log_types"]} == {
        *("api", "audit", "authenticator", "controllerManager", "scheduler")
    }


def test_an_image_that_was_pushed_stays_what_it_is(resources):
    """Tags can't be moved, and every image is scanned when it comes."""
    repository = resources["aws_ecr_repository.this"]
    assert _bare(repository["image_tag_mutability"]) == "IMMUTABLE"
    assert repository["image_scanning_configuration"][0]["scan_on_push"] is True
