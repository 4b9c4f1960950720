"""A small web page, for your own machine, that tags the music dropped onto it.

An upload is the body of one POST request, written to a temporary file, tagged and removed. Nothing is kept. Sizes,
lengths and times are limited (`Limits`); no answer names a path of this machine.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tagkit import audio
from tagkit.evaluation.calibrate import Calibration
from tagkit.evaluation.tag import Tagger
from tagkit.listening.taggram import taggram_data

# A browser sends a header of its own only to where the page came from, so that no other site can make it upload.
MARK, NAME = "x-tagkit", "x-file-name"
LONGEST_SUFFIX = 8  # of a name that the file system has to take
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# What is served, and nothing else: package, file, media type.
STATIC = {
    "/": ("tagkit.deploy.serve", "index.html", "text/html"),
    "/serve.css": ("tagkit.deploy.serve", "serve.css", "text/css"),
    "/serve.js": ("tagkit.deploy.serve", "serve.js", "text/javascript"),
    "/taggram.css": ("tagkit.listening", "taggram.css", "text/css"),
    "/taggram.js": ("tagkit.listening", "taggram.js", "text/javascript"),
}


@dataclass(frozen=True)
class Limits:
    """Limits on an upload.

    Attributes
    ----------
    megabytes : float
        Size of a file.
    minutes : float
        Length of the music in it.
    upload_s : float
        Time for a file to arrive.
    wait_s : float
        Time to wait for its turn.
    at_once : int
        Files tagged at a time; the others wait.
    """

    megabytes: float = 100
    minutes: float = 20
    upload_s: float = 120
    wait_s: float = 120
    at_once: int = 2


class Refused(ValueError):  # noqa: N818 - it reads as the sentence that it is
    """An upload that is not tagged: the status of the answer, and one sentence that names no path."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


def create_app(
    tagger: Tagger,
    calibration: Calibration | None = None,
    limits: Limits | None = None,
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]"),
) -> Starlette:
    """The web application.

    Parameters
    ----------
    calibration : Calibration, optional
        Stated on the page.
    limits : Limits, optional
    hosts : tuple of str
        Host names that a request may use; any other name that leads here is an attack on the browser (DNS rebinding).
    """
    limits = limits or Limits()
    turns = asyncio.Semaphore(limits.at_once)

    async def tag(request: Request) -> Response:
        name = file_name(request.headers.get(NAME, ""))
        try:
            if MARK not in request.headers:
                raise Refused(403, f"An upload needs the header {MARK}: 1.")
            with tempfile.TemporaryDirectory(prefix="tagkit-") as folder:
                path = Path(folder) / f"upload{Path(name).suffix[:LONGEST_SUFFIX]}"
                await _receive(request, path, limits)
                return _answer(await _in_turn(turns, limits, _tag, tagger, path, name, limits))
        except Refused as refusal:
            return _answer({"error": str(refusal)}, refusal.status)
        except ClientDisconnect:
            return _answer({"error": "The upload broke off."}, 400)

    async def about(request: Request) -> Response:
        return _answer(
            {
                "model": tagger.run.config.model,
                "dataset": tagger.run.record["dataset"],
                "tags": list(tagger.tags),
                "calibration": calibration.sentences() if calibration else None,
                "megabytes": limits.megabytes,
                "minutes": limits.minutes,
            }
        )

    routes = [Route(path, _static(*where)) for path, where in STATIC.items()]
    routes += [Route("/about", about), Route("/tag", tag, methods=["POST"])]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={Exception: _unexpected},
    )


def file_name(header: str) -> str:
    """The name of an upload as it may be shown: percent-decoded, without folders and control characters."""
    name = PureWindowsPath(unquote(header, errors="replace")).name  # knows both kinds of slash
    shown = "".join(c for c in name if c.isprintable())[-120:]
    return shown or "The file"


async def _receive(request: Request, path: Path, limits: Limits) -> None:
    """Write the body of a request into a file; Refused where it is too large, too slow, or empty.

    What is too large is read to its end (or ten times the limit) and thrown away: a browser that is cut off in the
    middle of sending shows no answer.
    """
    most = int(limits.megabytes * 1e6)
    received = 0
    try:
        async with asyncio.timeout(limits.upload_s):
            with path.open("wb") as upload:
                async for chunk in request.stream():
                    received += len(chunk)
                    if received <= most:
                        upload.write(chunk)
                    elif received > 10 * most:
                        break
    except TimeoutError as error:
        raise Refused(408, f"The upload took longer than {limits.upload_s:g} s.") from error
    if received > most:
        raise Refused(413, f"The file is larger than {limits.megabytes:g} MB.")
    if not received:
        raise Refused(400, "The file is empty.")


async def _in_turn(turns: asyncio.Semaphore, limits: Limits, function: Callable[..., dict], *arguments: object) -> dict:
    try:
        async with asyncio.timeout(limits.wait_s):
            await turns.acquire()
    except TimeoutError as error:
        raise Refused(503, "Too many files are waiting; try again in a minute.") from error
    try:
        return await run_in_threadpool(function, *arguments)
    finally:
        turns.release()


def _tag(tagger: Tagger, path: Path, name: str, limits: Limits) -> dict:
    try:
        y = audio.load_int16(path, tagger.sr, longest_s=60 * limits.minutes)
    except audio.TooLongError as error:
        raise Refused(
            413, f"The file holds more than {limits.minutes:g} minutes of music; cut a part out of it."
        ) from error
    except audio.AudioError as error:
        # The reason without the temporary file's name; whatever else of this machine might be in it is not passed on.
        reason = str(error).replace(str(path), name)
        hidden = str(path.parent) in reason or tempfile.gettempdir() in reason
        raise Refused(415, f"{name} cannot be read." if hidden else reason) from error
    hop_s = max(0.5, len(y) / tagger.sr / 400)
    fine = tagger(y, hop_s=hop_s, sr=tagger.sr)
    whole = tagger(y, sr=tagger.sr)
    scores = whole.scores
    best = int(np.argmax(scores))
    return {
        "name": name,
        "answer": [tagger.tags[best], round(float(scores[best]), 6)] if tagger.run.exclusive else None,
        "duration_s": fine.duration_s,
        "remarks": [f"It {remark}." for remark in whole.remarks],
        "scores": {tagger.tags[k]: round(float(scores[k]), 6) for k in np.argsort(-scores, kind="stable")},
        "taggram": taggram_data(fine.window_scores, fine.starts_s, fine.window_s, fine.duration_s, fine.tags),
    }


def _static(package: str, name: str, kind: str) -> Callable:
    content = resources.files(package).joinpath("static", name).read_bytes()

    async def serve(request: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=kind)

    return serve


def _answer(content: dict, status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers=HEADERS)


async def _unexpected(request: Request, error: Exception) -> Response:
    """The traceback goes to the server's log (Starlette raises it again there), and not to the browser."""
    return _answer({"error": "Something went wrong on the server; its log says what."}, 500)
