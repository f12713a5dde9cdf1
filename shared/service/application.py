"""The HTTP application of a service: its routes, health, metrics and description; and the process around it."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from shared.observability import logs
from shared.security.tokens import TokenVerifier
from shared.service import documentation, garbage
from shared.service.runtime import Service, ServiceSpec
from shared.service.settings import ServiceSettings
from shared.web import problems
from shared.web.middleware import RequestMiddleware
from shared.web.parameters import refuse_unknown
from shared.web.problems import MEDIA_TYPE, ProblemDetails

#: How long requests in hand may take when the service stops, in seconds; its other parts finish beside them.
_DRAIN_S = 3


def build(spec: ServiceSpec, settings: ServiceSettings, *, deliver: bool = True) -> FastAPI:
    """The application of a service. ``deliver=False`` leaves Kafka and workers out, for tests of HTTP alone."""
    service = Service(spec, settings, deliver=deliver)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = _Application(
        title=f"Quality Cycle: {spec.name}",
        summary=spec.description,
        version="1",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.token_verifier = TokenVerifier(settings.tokens())
    app.add_middleware(
        RequestMiddleware,
        uploads=spec.uploads,
        largest_upload=settings.upload_max_mb * 1_000_000,
        of_people=spec.of_people,
    )
    problems.install(app)
    for router in spec.routers:
        app.include_router(router, dependencies=[Depends(refuse_unknown)])
    _add_operations(app, service)
    documentation.install(app)
    return app


class _Application(FastAPI):
    """A FastAPI whose description says the truth about errors: all of them are problem details."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            described = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(described.pop("$defs", {}))
            schemas["ProblemDetails"] = described
            problem = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
            for path in document["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = {
                        "description": "Problem details (RFC 9457): what is wrong, where, and how to mend it.",
                        "content": {MEDIA_TYPE: problem},
                    }
            self.openapi_schema = document
        return self.openapi_schema


def main(spec: ServiceSpec, settings_type: type[ServiceSettings]) -> None:
    """Run a service until SIGTERM or SIGINT: exit code 0. Settings that are missing or wrong end it with 2."""
    try:
        settings = settings_type()  # pyright: ignore[reportCallIssue] read from the environment
    except ValidationError as error:
        sys.exit(_refuse(spec.name, error))
    logs.configure(spec.name, settings.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal that ended it once more when it is done: what was asked for is no failure.
        signal.signal(number, _end_well)
    app = build(spec, settings)
    garbage.settle()
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
        ),
        app.state.service,
    )
    server.run()


def _end_well(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _Server(uvicorn.Server):
    """Tells the service of the signal at once: it takes no new work while HTTP still answers what it was asked."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal, in the middle of anything: the loop does the work."""
        asyncio.get_running_loop().call_soon_threadsafe(self._service.cease)
        super().handle_exit(sig, frame)


def _refuse(service: str, error: ValidationError) -> int:
    """Say which variable is wrong and why, never its value: it may be a secret."""
    for found in error.errors(include_input=False, include_url=False):
        variable = f"QC_{'_'.join(str(part) for part in found['loc'])}".upper().rstrip("_")
        print(f"{service} cannot start: {variable}: {found['msg']}", file=sys.stderr)
    return 2


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", tags=["operations"], summary="The process is alive")
    async def live() -> dict[str, bool]:
        return {"alive": True}

    @app.get(
        "/health/ready",
        tags=["operations"],
        summary="The service can do its work",
        responses={503: {"description": "It cannot; `checks` says why.", "content": {"application/json": {}}}},
    )
    async def ready() -> JSONResponse:
        checks = await service.problems()
        is_ready = not any(checks.values())
        body = {"ready": is_ready, "checks": {name: problem or "ok" for name, problem in checks.items()}}
        return JSONResponse(body, 200 if is_ready else 503)

    @app.get("/metrics", tags=["operations"], summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})
