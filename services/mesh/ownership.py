"""Whose resources a call may touch, where the policy says that the query itself asks for the owner.

SELECT ... WHERE order_id = $1 AND ($2::uuid IS NULL OR user_id = $2)      $2 = visible_to(method)
"""

from uuid import UUID

from services.mesh import identity, ids
from services.mesh.errors import NotFound
from services.mesh.policy import Method


def visible_to(method: Method) -> UUID | None:
    """Return the user whose resources the caller may touch by the policy, None for anybody's.

    A person may touch their own, unless one of their roles is excepted; a service that acts on its
    own behalf may touch anybody's. Raises NotFound for anybody else, who owns nothing.
    """
    caller = identity.caller()
    if caller.subject is None and caller.service in method.callers:
        return None
    if not method.owner_except_roles.isdisjoint(caller.roles):
        return None
    if caller.subject is None:
        raise NotFound("there is no such resource")
    return ids.parse_id(caller.subject, field="sub")
