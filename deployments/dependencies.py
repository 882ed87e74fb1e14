"""What routes ask for by type: the services, the caller's API key, a call on the caller's behalf."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from cluster.api_keys import ApiKey
from deployments.calls import Call
from deployments.errors import Unauthorized
from deployments.services import Services

BEARER = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer ak-…`")
KEY_HEADER = APIKeyHeader(name="X-Api-Key", auto_error=False, description="The same key in its own header")


async def services_of(request: Request) -> Services:
    """Give what `create_api` was made with."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]


async def valid_key(
    request: Request,
    services: ServicesDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    header: Annotated[str | None, Security(KEY_HEADER)],
) -> ApiKey:
    """Find the API key that the request carries; only headers are read for it.

    Raises:
        Unauthorized: there is none, or it is not valid.
    """
    for presented in (bearer.credentials if bearer else None, header):
        if presented and (key := services.api_keys.find(presented)):
            request.state.api_key_id = key.id
            return key
    raise Unauthorized("Invalid API Key")


KeyDep = Annotated[ApiKey, Depends(valid_key)]


async def call_of(request: Request, services: ServicesDep, key: KeyDep) -> Call:
    """Make a call on behalf of the request's API key."""
    return Call.of(services, owner=key.id)


CallDep = Annotated[Call, Depends(call_of)]
