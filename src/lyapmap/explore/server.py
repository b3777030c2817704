"""The explorer's server: on the loopback address only, for one page and nobody else.

A page of another site cannot use it: the name that a browser asks for (Host) must be that of this machine, a page
that asks (Origin) must be its own, and every request must know the token that stands in the address printed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from lyapmap.core.errors import LyapmapError, by_user
from lyapmap.explore.session import Session, Stopped
from lyapmap.report.page import colour_rules, library

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""Names of this machine that a browser may ask for."""
TOKEN = "x-lyapmap-token"
MOST_BYTES = 2**24
"""Of a request."""
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Guard:
    """Refuses requests that do not come from the explorer's own page."""

    def __init__(self, app: Any, *, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{name}:{port}" for name in NAMES}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse(f"{refusal}\n", 403, HEADERS)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def refusal(self, scope: Scope) -> str:
        """Why a request is refused; empty where it is not."""
        from starlette.requests import HTTPConnection

        asked = HTTPConnection(scope)
        if scope["type"] != "http":
            return "no such thing here"
        if asked.headers.getlist("host") not in [[host] for host in self.hosts]:
            return "this explorer answers to its own machine only"
        origin = asked.headers.get("origin")
        if origin is not None and origin not in self.origins:
            return "this explorer answers to its own page only"
        if asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "this explorer answers to its own page only"
        given = asked.headers.get(TOKEN) or asked.query_params.get("token") or ""
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return "open the address that lyapmap explore printed: it ends in a token"
        return ""


def application(session: Session, *, port: int, token: str) -> Guard:
    """The page and what it asks for, guarded.

    Parameters
    ----------
    session : Session
    port : int
        That of the address.
    token : str
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def page(request: Any) -> Any:
        return HTMLResponse(rendered(session, token), headers=HEADERS)

    async def script(request: Any) -> Any:
        return Response(_template("explore.js"), media_type="text/javascript", headers=HEADERS)

    async def drawing(request: Any) -> Any:
        return Response(library(), media_type="text/javascript", headers=HEADERS)

    async def answered(call: Callable[[], Any]) -> Any:
        try:
            return JSONResponse(await run_in_threadpool(call), headers=HEADERS)
        except Stopped:
            return JSONResponse({"error": "stopped"}, 503, HEADERS)
        except LyapmapError as error:
            return JSONResponse({"error": " ".join(str(error).split())}, 400, HEADERS)
        except Exception as error:  # the map is a stranger's: whatever it raises is said in one line
            return JSONResponse({"error": by_user(error)}, 500, HEADERS)

    def asks(method: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
        async def answer(request: Any) -> Any:
            if int(request.headers.get("content-length") or MOST_BYTES + 1) > MOST_BYTES:
                return JSONResponse({"error": "a request is too large"}, 413, HEADERS)
            try:
                given = json.loads(await request.body())
            except (ValueError, RecursionError):
                given = None
            if not isinstance(given, dict):
                return JSONResponse({"error": "expected a JSON object"}, 400, HEADERS)
            return await answered(lambda: method(given))

        return answer

    async def about(request: Any) -> Any:
        return await answered(session.about)

    async def embedding(request: Any) -> Any:
        return await answered(session.embedding)

    async def spectrum(request: Any) -> Any:
        given = dict(request.query_params)
        return StreamingResponse(events(session, given), media_type="text/event-stream", headers=HEADERS)

    return Guard(
        Starlette(
            routes=[
                Route("/", page),
                Route("/explore.js", script),
                Route("/plotly.js", drawing),
                Route("/about", about),
                Route("/embedding", embedding),
                Route("/spectrum", spectrum),
                Route("/values", asks(session.values), methods=["POST"]),
                Route("/sequence", asks(session.sequence), methods=["POST"]),
                Route("/nudge", asks(session.nudge), methods=["POST"]),
            ]
        ),
        port=port,
        token=token,
    )


async def events(session: Session, given: dict[str, Any]) -> AsyncIterator[str]:
    """A spectrum as server-sent events: "estimate" while it runs, then "result" or "failure"."""
    from starlette.concurrency import run_in_threadpool

    loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[str, dict[str, Any]] | None]()
    gone = False

    def tell(kind: str, values: dict[str, Any]) -> None:
        if gone:
            raise Stopped
        loop.call_soon_threadsafe(queue.put_nowait, (kind, values))

    def work() -> None:
        try:
            session.spectrum(given, tell)
        except Stopped:
            pass
        except Exception as error:  # the map is a stranger's
            words = " ".join(str(error).split()) if isinstance(error, LyapmapError) else by_user(error)
            with suppress(Stopped):
                tell("failure", {"error": words})
        finally:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(queue.put_nowait, None)

    task = asyncio.ensure_future(run_in_threadpool(work))
    try:
        while (event := await queue.get()) is not None:
            kind, values = event
            yield f"event: {kind}\ndata: {json.dumps(values, allow_nan=False)}\n\n"
    finally:
        gone = True
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)


def rendered(session: Session, token: str) -> str:
    """The page."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("explore.html.j2").render(
        style=Markup(colour_rules() + _template("explore.css")),  # ours
        name=session.name,
        token=token,
        image=session.image is not None,
        n=session.n,
    )


@cache
def _template(name: str) -> str:
    return files("lyapmap.explore").joinpath("templates", name).read_text(encoding="utf-8")


def opened(port: int) -> socket.socket:
    """A socket of the loopback address.

    Raises
    ------
    LyapmapError
        If the port is taken, or may not be used.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise LyapmapError(f"port: {port} cannot be used ({reason}); give another, or 0 for any") from None
    return made


def serve(session: Session, made: socket.socket, token: str) -> None:
    """Answer until Ctrl-C, which raises KeyboardInterrupt once the server has ended."""
    import uvicorn

    port = made.getsockname()[1]
    config = uvicorn.Config(
        application(session, port=port, token=token), log_level="warning", timeout_graceful_shutdown=1, lifespan="off"
    )

    class Server(uvicorn.Server):
        """One that lets computations end with it."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            session.stopped.set()
            super().handle_exit(sig, frame)

    try:
        Server(config).run(sockets=[made])
    finally:
        session.stopped.set()
        made.close()
