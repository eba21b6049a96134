"""Who may call what: every kind of access against every kind of caller; the default is no."""

import pytest

from services.mesh import policy
from services.mesh.errors import DomainError, NotFound
from services.mesh.identity import Caller
from services.mesh.interceptors.policy import admission, check_owner
from tests import echo
from tests.echo import EchoRequest

METHODS = {method.name: method for method in policy.methods([echo.SERVICE])}
EDGE = frozenset({"gateway", "developer"})

NOBODY = Caller(service="gateway")
ANN = Caller(service="gateway", subject="ann")
ADMIN = Caller(service="gateway", subject="eve", roles=frozenset({"admin"}))
SUPPORT = Caller(service="developer", subject="sue", roles=frozenset({"support"}))
ORDER = Caller(service="order")
ORDER_FOR_ANN = Caller(service="order", subject="ann")
PRODUCT = Caller(service="product")
STRANGER = Caller(service=None)

NOT_ALLOWED, NOT_SIGNED_IN, ROLE_MISSING = "CALLER_NOT_ALLOWED", "NOT_SIGNED_IN", "ROLE_MISSING"


@pytest.mark.parametrize(
    ("rpc", "who", "refusal"),
    [
        ("Public", NOBODY, None),
        ("Public", ANN, None),
        ("Public", ORDER, NOT_ALLOWED),
        ("Public", STRANGER, NOT_ALLOWED),
        ("SignedIn", NOBODY, NOT_SIGNED_IN),
        ("SignedIn", ANN, None),
        ("SignedIn", ORDER, None),
        ("SignedIn", ORDER_FOR_ANN, None),
        ("SignedIn", PRODUCT, NOT_ALLOWED),
        ("SignedIn", STRANGER, NOT_ALLOWED),
        ("Admin", NOBODY, NOT_SIGNED_IN),
        ("Admin", ANN, ROLE_MISSING),
        ("Admin", SUPPORT, ROLE_MISSING),
        ("Admin", ADMIN, None),
        ("Admin", ORDER, NOT_ALLOWED),
        ("Internal", NOBODY, NOT_ALLOWED),
        ("Internal", ADMIN, NOT_ALLOWED),
        ("Internal", ORDER, None),
        ("Internal", PRODUCT, NOT_ALLOWED),
        ("Internal", STRANGER, NOT_ALLOWED),
    ],
)
def test_access(rpc: str, who: Caller, refusal: str | None) -> None:
    """Each caller is admitted or refused as the policy says."""
    admit = admission(METHODS[rpc], EDGE)
    reason = None
    try:
        admit(who)
    except DomainError as error:
        reason = error.reason
    assert refusal == reason


@pytest.mark.parametrize(
    ("who", "owner", "is_found"),
    [
        (ANN, "ann", True),
        (ANN, "", True),
        (ANN, "bob", False),
        (ADMIN, "bob", False),
        (SUPPORT, "bob", True),
        (ORDER, "bob", True),
        (ORDER_FOR_ANN, "bob", False),
        (NOBODY, "bob", False),
    ],
)
def test_owner(who: Caller, owner: str, *, is_found: bool) -> None:
    """What another owns does not exist for a person without an excepted role."""
    request = EchoRequest(owner={"user_id": owner})
    found = True
    try:
        check_owner(METHODS["Own"], who, request)
    except NotFound:
        found = False
    assert is_found == found
