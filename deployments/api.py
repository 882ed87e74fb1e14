"""The HTTP application: routes, middleware and error bodies put together. Needs no Ray."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import Lifespan

from deployments.documented_errors import with_errors
from deployments.error_bodies import answer_http_exception, answer_validation_error
from deployments.middleware.access_log import AccessLog
from deployments.middleware.body_cap import BodyCap
from deployments.middleware.error_answers import ErrorAnswers
from deployments.middleware.request_id import RequestId
from deployments.middleware.served_by import ServedByHeader
from deployments.routers import ROUTERS
from deployments.services import Services

TITLE = "AI Server on Ray"
VERSION = "0.5.0"
DESCRIPTION = """One HTTP API in front of the generative and media work of an application.

`/api/*` speaks AI Server's wire format, `/v1/*` OpenAI's. They need an API key, as
`Authorization: Bearer …` or `X-Api-Key`. The examples expect it in `$AI_SERVER_API_KEY`.
The schema is at `/openapi.json`.
"""


def create_api(
    services: Services, *, behind_serve: bool = False, lifespan: Lifespan[FastAPI] | None = None
) -> FastAPI:
    """Make the application on top of `services`.

    Args:
        services: what the routes use.
        behind_serve: whether Ray Serve's proxy writes the header ``X-Request-Id``; otherwise we do.
        lifespan: what goes on beside the requests, from the first to the last one.
    """
    api = FastAPIOffline(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=_middleware(services, behind_serve),
        exception_handlers={
            HTTPException: answer_http_exception,
            RequestValidationError: answer_validation_error,
        },
    )
    api.state.services = services
    for router in ROUTERS:
        api.include_router(router)
    describe = api.openapi
    api.openapi = lambda: with_errors(describe())  # type: ignore[method-assign]  # as the framework's manual does
    return api


def _middleware(services: Services, behind_serve: bool) -> list[Middleware]:
    """Give the layers, the outermost first."""
    return [
        Middleware(RequestId, echo=not behind_serve),
        *([Middleware(AccessLog)] if services.config.ingress.access_log else []),
        Middleware(ErrorAnswers),
        Middleware(ServedByHeader),
        Middleware(BodyCap, limits=services.config.limits),
    ]
