"""What routes ask for by type: the services, the caller's API key, a call on the caller's behalf."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from cluster.api_keys import ApiKey
from deployments.calls import Call
from deployments.errors import BadRequest, Unauthorized
from deployments.preferences import MAX_KEY_LENGTH, MAX_NAME_LENGTH, MAX_URL_LENGTH, JobWish, Preference
from deployments.runs import RunInfo
from deployments.services import Services

BEARER = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer ak-…`")
KEY_HEADER = APIKeyHeader(name="X-Api-Key", auto_error=False, description="The same key in its own header")


def base_url_of(request: Request, services: Services) -> str:
    """Give the address under which the client reaches this server, without a slash at the end."""
    return (services.config.ingress.public_url or str(request.base_url)).rstrip("/")


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
        if presented and (key := await services.api_keys.find(presented)):
            request.state.api_key_id = key.id
            return key
    raise Unauthorized("Invalid API Key")


KeyDep = Annotated[ApiKey, Depends(valid_key)]


async def call_of(request: Request, services: ServicesDep, key: KeyDep) -> Call:
    """Make a call on behalf of the request's API key, with what its headers say of a job.

    Raises:
        BadRequest: a header is too long, or the server must not contact the address that it gives.
    """
    reply_to = _header(request, "ReplyTo", MAX_URL_LENGTH)
    if reply_to is not None:
        await services.jobs.check_reply_to(reply_to)
    return Call(
        services,
        RunInfo(owner=key.id, providers=key.providers),
        services.config.timeouts.request_s,
        base_url_of(request, services),
        JobWish(
            tag=_header(request, "Tag"),
            reply_to=reply_to,
            idempotency_key=_header(request, "Idempotency-Key", MAX_KEY_LENGTH),
        ),
        Preference.of(request.headers.getlist("Prefer")),
        key,
        partial(setattr, request.state, "served_by"),
    )


def _header(request: Request, name: str, limit: int = MAX_NAME_LENGTH) -> str | None:
    value = request.headers.get(name, "").strip()
    if len(value) > limit:
        raise BadRequest(f"The header {name} may have at most {limit} characters.", name)
    return value or None


CallDep = Annotated[Call, Depends(call_of)]
