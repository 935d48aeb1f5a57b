"""What routes ask for: the ports, and a caller who may do what the route does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from serving.ports import Ports
from terag_pipelines.security.api_keys import Caller, recognise
from terag_pipelines.security.roles import Permission, require

API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="made by `terag keys create`")


def ports_of(request: Request) -> Ports:
    """The ports that the application was made with."""
    ports: Ports = request.app.state.ports
    return ports


PortsOf = Annotated[Ports, Depends(ports_of)]


def caller_of(ports: PortsOf, key: Annotated[str | None, Security(API_KEY)] = None) -> Caller:
    """Who calls. Raises: UnauthenticatedError."""
    return recognise(key, ports.pepper, ports.keys.find)


def allowed(permission: Permission) -> Callable[[Caller], Caller]:
    """A dependency that lets only callers with the permission pass. Raises: ForbiddenError."""

    def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        require(caller.role, permission)
        return caller

    return check
