"""Each role is lent to one ServiceAccount, and opens what its service needs and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.platform.aws import policy
from tests.platform.aws.policy import Request
from tests.platform.aws.sts import Account, Cluster, Issuer

ROOT = Path(__file__).parents[3]
OURS = Cluster(issuer="oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF")
OTHERS = Cluster(issuer="oidc.eks.eu-central-1.amazonaws.com/id/FEDCBA9876543210")
WORKFLOWS = Issuer(issuer="token.actions.githubusercontent.com")
ACCOUNT = Account(number="111122223333", issuers=(OURS, OTHERS, WORKFLOWS))
BUCKET = "souk-product-images-111122223333"
ROLE = "arn:aws:iam::111122223333:role/souk-product"
DISTRIBUTION = "arn:aws:cloudfront::111122223333:distribution/E1"
OBJECT = f"arn:aws:s3:::{BUCKET}/products/x/y.png"
IMAGES = "arn:aws:ecr:eu-central-1:111122223333:repository/souk/order"
VALUES = {
    "partition": "aws",
    "region": "eu-central-1",
    "account": ACCOUNT.number,
    "cluster": "souk",
    "bucket": BUCKET,
    "vpc": "vpc-1",
    "unseal_key": "arn:aws:kms:eu-central-1:111122223333:key/unseal",
    "volume_key": "arn:aws:kms:eu-central-1:111122223333:key/volumes",
    "distribution": DISTRIBUTION,
    "role": ROLE,
}


def trust(
    account: str = "product", namespace: str = "souk", registered: Account = ACCOUNT
) -> dict[str, Any]:
    """Return the trust policy of a ServiceAccount's role."""
    return policy.read(
        "trust",
        provider=registered.provider(OURS),
        issuer=OURS.issuer,
        subject=f"system:serviceaccount:{namespace}:{account}",
    )


def test_the_pod_of_the_service_gets_its_role():
    """A token of the right ServiceAccount, meant for STS, is exchanged."""
    assert ACCOUNT.lends(trust(), OURS.token("product"))


@pytest.mark.parametrize(
    ("what", "token"),
    [
        ("another service", OURS.token("order")),
        ("a longer name", OURS.token("product-migration")),
        ("the default ServiceAccount", OURS.token("default")),
        ("a name with a star in it", OURS.token("*")),
        ("another namespace", OURS.token("product", namespace="default")),
        ("a namespace with a longer name", OURS.token("product", namespace="souk-dev")),
        (
            "the API server's audience",
            OURS.token("product", audience="https://kubernetes.default.svc"),
        ),
        ("Vault's audience", OURS.token("product", audience="vault")),
        ("another cluster", OTHERS.token("product")),
        ("another cluster's key under our issuer", OTHERS.token("product", issuer=OURS.issuer)),
        ("an issuer that nobody registered", Cluster(issuer="evil.example").token("product")),
        ("an expired token", OURS.token("product", seconds=-1)),
    ],
)
def test_nobody_else_gets_it(what: str, token: str):
    """A token that is wrong in one thing is refused."""
    assert not ACCOUNT.lends(trust(), token), what


def test_a_provider_of_another_account_is_not_trusted():
    """The same cluster registered in a stranger's account opens no role there that names ours."""
    stranger = Account(number="999999999999", issuers=(OURS,))
    assert not stranger.lends(trust(), OURS.token("product"))


@pytest.mark.parametrize("forgotten", ["aud", "sub"])
def test_the_evaluation_sees_what_a_weaker_policy_lets_in(forgotten: str):
    """Without one of the two conditions a wrong token would pass: both are needed."""
    weaker = trust()
    del weaker["Statement"][0]["Condition"]["StringEquals"][f"{OURS.issuer}:{forgotten}"]
    wrong = OURS.token("order")
    assert ACCOUNT.lends(weaker, wrong) is (forgotten == "sub")


def test_trust_is_exact():
    """Only StringEquals, on the audience and the subject, without a wildcard."""
    (statement,) = trust()["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            f"{OURS.issuer}:aud": "sts.amazonaws.com",
            f"{OURS.issuer}:sub": "system:serviceaccount:souk:product",
        }
    }


def release_trust() -> dict[str, Any]:
    """Return the trust policy of the release workflow's role, with the subject of release.tf."""
    (subject,) = re.findall(r'subject += "(.*)"', (ROOT / "deploy/aws/release.tf").read_text())
    return policy.read(
        "trust",
        provider=ACCOUNT.provider(WORKFLOWS),
        issuer=WORKFLOWS.issuer,
        subject=subject.replace("${each.key}", "owner/souk"),
    )


def test_the_release_workflow_gets_its_role():
    """Those of its jobs that run in the environment which release.tf names."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    (environment,) = {
        job["environment"]
        for job in workflow["jobs"].values()
        if job["permissions"].get("id-token") == "write"
    }

    token = WORKFLOWS.sign(f"repo:owner/souk:environment:{environment}")
    assert ACCOUNT.lends(release_trust(), token)


@pytest.mark.parametrize(
    ("what", "token"),
    [
        ("another repository", WORKFLOWS.sign("repo:owner/other:environment:release")),
        ("another owner", WORKFLOWS.sign("repo:evil/souk:environment:release")),
        ("a longer owner", WORKFLOWS.sign("repo:evil-owner/souk:environment:release")),
        ("another environment", WORKFLOWS.sign("repo:owner/souk:environment:release-2")),
        ("a branch", WORKFLOWS.sign("repo:owner/souk:ref:refs/heads/main")),
        ("a tag outside of the environment", WORKFLOWS.sign("repo:owner/souk:ref:refs/tags/v1")),
        ("a pull request", WORKFLOWS.sign("repo:owner/souk:pull_request")),
        (
            "the signing authority's audience",
            WORKFLOWS.sign("repo:owner/souk:environment:release", audience="sigstore"),
        ),
        (
            "a cluster's key under the workflows' issuer",
            OURS.sign("repo:owner/souk:environment:release", issuer=WORKFLOWS.issuer),
        ),
        ("a cluster", OURS.sign("repo:owner/souk:environment:release")),
        ("a pod", OURS.token("product")),
        ("an old one", WORKFLOWS.sign("repo:owner/souk:environment:release", seconds=-1)),
    ],
)
def test_no_other_job_gets_the_release_role(what: str, token: str):
    """A token that is wrong in one thing is refused."""
    assert not ACCOUNT.lends(release_trust(), token), what


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("ecr:PutImage", IMAGES, True),
        ("ecr:UploadLayerPart", IMAGES, True),
        ("ecr:BatchGetImage", IMAGES, True),
        ("ecr:DescribeImages", IMAGES, True),
        ("ecr:GetAuthorizationToken", "*", True),
        ("ecr:PutImage", "arn:aws:ecr:eu-central-1:111122223333:repository/other", False),
        ("ecr:PutImage", "arn:aws:ecr:eu-west-1:111122223333:repository/souk/order", False),
        ("ecr:BatchDeleteImage", IMAGES, False),
        ("ecr:DeleteRepository", IMAGES, False),
        ("ecr:SetRepositoryPolicy", IMAGES, False),
        ("ecr:PutImageTagMutability", IMAGES, False),
        ("eks:DescribeCluster", "arn:aws:eks:eu-central-1:111122223333:cluster/souk", False),
        ("s3:PutObject", OBJECT, False),
        ("sts:AssumeRole", "*", False),
    ],
)
def test_the_release_workflow_may_push_images_and_nothing_else(
    action: str, resource: str, *, expected: bool
):
    """It adds images to the shop's repositories and reads them back; what is there stays."""
    role = policy.read("release", **VALUES)
    context = {"aws:RequestedRegion": "eu-central-1"}
    request = Request(action=action, resource=resource, context=context)
    assert policy.allows(role, request) is expected


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:PutObject", OBJECT, True),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/other/y.png", False),
        ("s3:PutObject", "arn:aws:s3:::another-bucket/products/x/y.png", False),
        ("s3:PutObjectAcl", OBJECT, False),
        ("s3:GetObject", OBJECT, False),
        ("s3:DeleteObject", OBJECT, False),
        ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}", False),
        ("kms:Decrypt", VALUES["unseal_key"], False),
        ("sts:AssumeRole", "*", False),
        ("ecr:GetAuthorizationToken", "*", False),
    ],
)
def test_the_product_service_may_put_pictures_and_nothing_else(
    action: str, resource: str, *, expected: bool
):
    """It neither reads nor deletes; what it may is what image_store.py does."""
    role = policy.read("product", **VALUES)
    assert policy.allows(role, Request(action=action, resource=resource)) is expected


@pytest.mark.parametrize(
    ("what", "request_", "allowed", "denied"),
    [
        (
            "CloudFront reads",
            Request(
                action="s3:GetObject",
                resource=OBJECT,
                principal="cloudfront.amazonaws.com",
                context={"aws:SourceArn": DISTRIBUTION, "aws:SecureTransport": "true"},
            ),
            True,
            False,
        ),
        (
            "somebody else's CloudFront",
            Request(
                action="s3:GetObject",
                resource=OBJECT,
                principal="cloudfront.amazonaws.com",
                context={"aws:SourceArn": "arn:aws:cloudfront::9:distribution/E2"},
            ),
            False,
            False,
        ),
        (
            "the service's role puts",
            Request(
                action="s3:PutObject",
                resource=OBJECT,
                context={"aws:PrincipalArn": ROLE, "aws:SecureTransport": "true"},
            ),
            False,
            False,
        ),
        (
            "an administrator's role puts",
            Request(
                action="s3:PutObject",
                resource=OBJECT,
                context={"aws:PrincipalArn": "arn:aws:iam::111122223333:role/admin"},
            ),
            False,
            True,
        ),
        (
            "over plain HTTP",
            Request(
                action="s3:PutObject",
                resource=OBJECT,
                context={"aws:PrincipalArn": ROLE, "aws:SecureTransport": "false"},
            ),
            False,
            True,
        ),
    ],
)
def test_the_bucket_lets_cloudfront_read_and_the_service_put(
    what: str, request_: Request, *, allowed: bool, denied: bool
):
    """The bucket's own policy denies puts to every other principal, and all without TLS."""
    bucket = policy.read("bucket", **VALUES)
    assert (policy.allows(bucket, request_), policy.denies(bucket, request_)) == (
        allowed,
        denied,
    ), what


@pytest.mark.parametrize("path", sorted(policy.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_no_policy_lets_do_anything(path: Path):
    """An Allow names its actions, and has a resource or a condition unless it only looks."""
    for statement in json.loads(path.read_text())["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        actions = (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
        assert [action for action in actions if "*" in action] == []
        only_looks = all(re.search(r":(Describe|List)", action) for action in actions)
        bounded = statement.get("Resource", "*") != "*" or "Condition" in statement
        assert bounded or only_looks, statement.get("Sid")


def test_the_charts_name_the_role_of_their_service():
    """A chart's role is the one that Terraform makes for its ServiceAccount."""
    identity = (ROOT / "deploy/aws/identity.tf").read_text()
    for values in sorted(ROOT.glob("charts/*/values.yaml")):
        arn = (yaml.safe_load(values.read_text()).get("aws") or {}).get("roleArn")
        if arn:
            chart = values.parent.name
            assert arn.endswith(f":role/souk-{chart}")
            assert f'service_account = "{chart}"' in identity
