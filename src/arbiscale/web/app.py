"""The routes of a server, and how mistakes are answered: with a status from 400 on and one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from arbiscale import __version__
from arbiscale.config.section import validate
from arbiscale.errors import UserError
from arbiscale.web.bodies import Bodies, gone
from arbiscale.web.figures import CountRequests, Figures
from arbiscale.web.refusals import Refusal
from arbiscale.web.service import Service
from arbiscale.web.settings import MEDIA_TYPES, Query, View

ALIAS_SECONDS = 5.0  # between looks at where the alias points

Answer = TypeVar("Answer")
QueryType = TypeVar("QueryType", bound=Query)


def make_app(service: Service, *, alias_seconds: float = ALIAS_SECONDS) -> FastAPI:
    """The application of a service.

    Args:
        service: that draws.
        alias_seconds: between looks at where the alias points.
    """

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(service.follow_alias(alias_seconds))
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        service.worker.close()

    app = FastAPI(
        title="arbiscale",
        version=__version__,
        lifespan=living,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    figures = Figures(
        {"waiting": ("Drawings asked for", lambda: float(len(service.worker.jobs)))},
        {
            "shared": ("Requests answered by another's drawing", lambda: float(service.worker.shared)),
            "drawn_pixels": ("Pixels drawn", lambda: float(service.pixels)),
            "alias_moves": ("How often the alias has moved", lambda: float(service.models.moves)),
        },
    )
    app.add_middleware(CountRequests, figures=figures)
    _answer_mistakes(app)
    _add_routes(app, service, figures)
    return app


def _add_routes(app: FastAPI, service: Service, figures: Figures) -> None:
    bodies = Bodies(service.limits)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether it is alive, and what it serves."""
        origin = service.models.served.origin
        return {"status": "ok", **(origin.record if origin else {})}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters, for Prometheus."""
        return PlainTextResponse(figures.text())

    @app.get("/model")
    async def model(model: str | None = None) -> dict[str, Any]:
        """What is served, or another model by its name, with settings and limits."""
        return await asyncio.to_thread(service.about, model)

    @app.get("/models")
    async def models() -> list[dict[str, Any]]:
        """What may be named by `model` instead."""
        choices = await asyncio.to_thread(service.models.choices)
        return [{"name": each.name, "aliases": each.aliases} for each in choices]

    @app.get("/work")
    async def work() -> dict[str, Any]:
        """What is being drawn, and how far it is."""
        jobs = service.worker.jobs
        present = next((job for job in jobs if job.begun), None)
        if present is None:
            return {"waiting": len(jobs)}
        share = present.drawn / present.pixels if present.pixels else 0.0
        return {
            "waiting": len(jobs) - 1,
            "title": present.title,
            "share": share,
            "passes": present.passes,
        }

    @app.post("/upscale")
    async def upscale(request: Request) -> Response:
        """The picture in the body, larger."""
        query, name = _query(request, Query), _file_name(request)
        data = await bodies.read(request)
        return _picture(await _while_wanted(request, service.upscale(data, query, name)), query)

    @app.get("/generate")
    async def generate(request: Request) -> Response:
        """A picture from noise."""
        query = _query(request, Query)
        if query.size is None or query.scale is not None:
            raise UserError("query: generating takes height and width, and no scale")
        identity = f"{query.height}x{query.width}"
        return _picture(await _while_wanted(request, service.whole(identity, query)), query)

    @app.post("/pictures", status_code=201)
    async def keep(request: Request) -> dict[str, Any]:
        """Keep the picture in the body, so that it is drawn at several sizes from one latent."""
        name = _file_name(request)
        data = await bodies.read(request)
        identity, (height, width) = await _while_wanted(request, service.keep(data, name))
        return {"picture": identity, "height": height, "width": width}

    @app.get("/pictures/{picture}")
    async def whole(request: Request, picture: str) -> Response:
        """A kept picture, or a generated one of proportions HEIGHTxWIDTH, at any size."""
        query = _query(request, Query)
        return _picture(await _while_wanted(request, service.whole(picture, query)), query)

    @app.get("/pictures/{picture}/view")
    async def view(request: Request, picture: str) -> Response:
        """A part of it at any size."""
        query = _query(request, View)
        return _picture(await _while_wanted(request, service.view(picture, query)), query)

    @app.post("/invocations")
    async def invocations(request: Request) -> dict[str, Any]:
        """What `mlflow models serve` answers: base64 pictures, or seeds, and parameters, as JSON."""
        data = await bodies.read(request)
        items, params = _invocation(data)
        drawn = await _while_wanted(request, service.invocations(items, params, data))
        return {"predictions": drawn}


def _query(request: Request, kind: type[QueryType]) -> QueryType:
    return validate(kind, dict(request.query_params), "query")


def _file_name(request: Request) -> str:
    """What the client calls its picture, without folders."""
    name = unquote(request.headers.get("X-File-Name", "")).replace("\\", "/").rpartition("/")[2]
    return name[:200] or "picture"


def _invocation(data: bytes) -> tuple[Any, dict[str, Any]]:
    """Items and parameters of a body as MLflow's server takes it."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError("the body: is no JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("params", {}), dict):
        raise UserError('the body: must be {"inputs": [...], "params": {...}}')
    table = body.get("dataframe_split")
    items = table.get("data") if isinstance(table, dict) else body.get("inputs")
    if items is None:
        raise UserError("the body: must hold inputs or dataframe_split")
    return items, body.get("params", {})


async def _while_wanted(request: Request, work: Awaitable[Answer]) -> Answer:
    """The answer, unless the client goes before it is there; then the work is given up."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(499, "the client has gone")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()


def _picture(data: bytes, query: Query) -> Response:
    return Response(data, media_type=MEDIA_TYPES[query.format], headers={"Cache-Control": "no-store"})


def _answer_mistakes(app: FastAPI) -> None:
    def answer(status: int, message: object) -> JSONResponse:
        headers = {"Retry-After": "1"} if status == 429 else {}
        return JSONResponse({"error": " ".join(str(message).split())}, status, headers)

    @app.exception_handler(UserError)
    async def refused(request: Request, error: UserError) -> JSONResponse:
        return answer(error.status if isinstance(error, Refusal) else 422, error)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, error.detail)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return answer(500, "the server failed; its log says how")
