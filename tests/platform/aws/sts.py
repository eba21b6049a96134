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
class Issuer:
    """Who signs tokens, like a cluster; `issuer` has no scheme, as in IAM."""

    issuer: str
    key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))

    def sign(
        self,
        subject: str,
        *,
        audience: str = AUDIENCE,
        issuer: str | None = None,
        seconds: int = 600,
    ) -> str:
        """Returns a token of this subject; `issuer` lets it claim to be another's."""
        now = int(time.time())
        claims = {
            "iss": f"https://{issuer or self.issuer}",
            "aud": [audience],
            "sub": subject,
            "iat": now,
            "exp": now + seconds,
        }
        return jwt.encode(claims, self.key, algorithm="RS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster(Issuer):
    """A cluster that signs ServiceAccounts' tokens."""

    def token(
        self,
        account: str,
        *,
        namespace: str = "souk",
        audience: str = AUDIENCE,
        issuer: str | None = None,
        seconds: int = 600,
    ) -> str:
        """Returns a projected token."""
        subject = f"system:serviceaccount:{namespace}:{account}"
        return self.sign(subject, audience=audience, issuer=issuer, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An AWS account with those who are registered in it as OIDC providers."""

    number: str
    issuers: tuple[Issuer, ...]

    def provider(self, issuer: Issuer) -> str:
        """Returns the ARN of an issuer's provider."""
        return f"arn:aws:iam::{self.number}:oidc-provider/{issuer.issuer}"

    def lends(self, trust: Mapping[str, Any], token: str) -> bool:
        """Tells whether a role of this account with this trust policy is lent for the token."""
        claimed = jwt.decode(token, options={"verify_signature": False})["iss"]
        for issuer in self.issuers:
            if claimed == f"https://{issuer.issuer}":
                return self._lends(trust, token, issuer)
        return False

    def _lends(self, trust: Mapping[str, Any], token: str, issuer: Issuer) -> bool:
        try:
            claims = jwt.decode(
                token, issuer.key.public_key(), algorithms=["RS256"], audience=[AUDIENCE]
            )
        except jwt.InvalidTokenError:
            return False
        context = {
            f"{issuer.issuer}:aud": claims["aud"][0],
            f"{issuer.issuer}:sub": claims["sub"],
        }
        asked = Request(action=ACTION, principal=self.provider(issuer), context=context)
        return policy.allows(trust, asked)
