"""AssumeRoleWithWebIdentity as STS decides it: whose token it is, and whether the role trusts it.

After "AssumeRoleWithWebIdentity" of the STS reference: the provider must be registered in the
role's own account, the token signed by it, in time, and meant for one of its client ids; then the
role's trust policy is asked, with the token's claims as `<issuer>:<claim>`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.platform.aws import policy
from tests.platform.aws.policy import Request

ACTION = "sts:AssumeRoleWithWebIdentity"
AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that signs ServiceAccounts' tokens; `issuer` has no scheme, as in IAM."""

    issuer: str
    key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))

    def token(
        self,
        account: str,
        *,
        namespace: str = "souk",
        audience: str = AUDIENCE,
        issuer: str | None = None,
        seconds: int = 600,
    ) -> str:
        """Returns a projected token; `issuer` lets it claim to be another cluster's."""
        now = int(time.time())
        claims = {
            "iss": f"https://{issuer or self.issuer}",
            "aud": [audience],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now,
            "exp": now + seconds,
        }
        return jwt.encode(claims, self.key, algorithm="RS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An AWS account with the clusters that are registered in it as OIDC providers."""

    number: str
    clusters: tuple[Cluster, ...]

    def provider(self, cluster: Cluster) -> str:
        """Returns the ARN of the cluster's provider."""
        return f"arn:aws:iam::{self.number}:oidc-provider/{cluster.issuer}"

    def lends(self, trust: Mapping[str, Any], token: str) -> bool:
        """Tells whether a role of this account with this trust policy is lent for the token."""
        claimed = jwt.decode(token, options={"verify_signature": False})["iss"]
        for cluster in self.clusters:
            if claimed == f"https://{cluster.issuer}":
                return self._lends(trust, token, cluster)
        return False

    def _lends(self, trust: Mapping[str, Any], token: str, cluster: Cluster) -> bool:
        try:
            claims = jwt.decode(
                token, cluster.key.public_key(), algorithms=["RS256"], audience=[AUDIENCE]
            )
        except jwt.InvalidTokenError:
            return False
        context = {
            f"{cluster.issuer}:aud": claims["aud"][0],
            f"{cluster.issuer}:sub": claims["sub"],
        }
        asked = Request(action=ACTION, principal=self.provider(cluster), context=context)
        return policy.allows(trust, asked)
