"""Who may do what: a small algebra of roles and permissions."""

from __future__ import annotations

from enum import StrEnum

from terag_pipelines.errors import ForbiddenError


class Permission(StrEnum):
    """One thing that a caller may do."""

    READ_ENTITIES = "read_entities"
    READ_RINGS = "read_rings"
    ASK_WHAT_IF = "ask_what_if"
    DECIDE_PAIRS = "decide_pairs"
    READ_INVOICES = "read_invoices"
    READ_METRICS = "read_metrics"


class Role(StrEnum):
    """A named set of permissions."""

    ANALYST = "analyst"
    BILLING = "billing"
    OPERATOR = "operator"
    ADMIN = "admin"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ANALYST: frozenset(
        {
            Permission.READ_ENTITIES,
            Permission.READ_RINGS,
            Permission.ASK_WHAT_IF,
            Permission.DECIDE_PAIRS,
        }
    ),
    Role.BILLING: frozenset({Permission.READ_INVOICES}),
    Role.OPERATOR: frozenset({Permission.READ_METRICS}),
    Role.ADMIN: frozenset(Permission),
}


def require(role: Role, permission: Permission) -> None:
    """Does nothing where the role has the permission. Raises: ForbiddenError."""
    if permission not in PERMISSIONS[role]:
        raise ForbiddenError(f"the role {role} may not {permission.replace('_', ' ')}")
