"""What happens around every request: its trace, its measure and the limit of its size."""

import asyncio
import time
from collections.abc import Collection, Sequence
from http import HTTPStatus

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.observability import metrics, tracing
from shared.web.problems import answer

#: Largest body of a request that sends no file, in bytes.
MAX_BODY_BYTES = 8 * 1024 * 1024


_CUT_OFF = (
    "The service is being stopped and did not finish the request; send the same request again, "
    "with the Idempotency-Key it had."
)


class _BodyTooLarge(HTTPException):
    """An HTTPException, which is the one kind of error that reading a JSON body does not turn into a 400."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"The body has more than {most} bytes; send it in several parts.")


class RequestMiddleware:
    """Begins the trace, counts and times by route template, and refuses bodies that are too large with 413."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        uploads: Sequence[str] = (),
        largest_upload: int = MAX_BODY_BYTES,
        of_people: Collection[str] = (),
    ) -> None:
        """Under paths that begin with one of ``uploads`` a body may have ``largest_upload`` bytes.

        ``of_people`` are routes where each request stands for a person: their number is no measure for everybody, so
        of those only what fails is counted.
        """
        self._app = app
        self._of_people = frozenset(of_people)
        self._uploads = tuple(uploads)
        self._largest_upload = largest_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in (b"traceparent", b"content-length")}
        traceparent = tracing.begin(headers.get(b"traceparent", b"").decode("latin-1") or None)
        most = self._largest_upload if scope["path"].startswith(self._uploads) else MAX_BODY_BYTES
        started = time.perf_counter()
        status, received, begun = 500, 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _BodyTooLarge(most)
            return message

        async def observed(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message["headers"], (b"traceresponse", traceparent.encode())]
            await send(message)

        try:
            length = headers.get(b"content-length", b"0")
            if length.isdigit() and int(length) > most:
                raise _BodyTooLarge(most)
            await self._app(scope, counted, observed)
        except _BodyTooLarge as error:
            await answer(error.status_code, error.detail)(scope, receive, observed)
        except asyncio.CancelledError:
            if begun:
                raise
            # The service stops, and has waited for this request as long as it may.
            await answer(503, _CUT_OFF, headers={"Retry-After": "2"})(scope, receive, observed)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            # The method is the caller's text: only those of HTTP become a label.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            if status >= HTTPStatus.BAD_REQUEST or route not in self._of_people:
                metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
                metrics.HTTP_SECONDS.labels(method, route).observe(time.perf_counter() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
