"""A local server that answers track.getTopTags and album.getTopTags as Last.fm's API 2.0 does, faults included."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
from xml.sax.saxutils import escape, quoteattr

import pylast

ERROR = '<?xml version="1.0" encoding="UTF-8"?><lfm status="failed"><error code="{}">{}</error></lfm>'


class Lastfm:
    """What the server knows, what goes wrong (one entry a request, then nothing) and what it was asked."""

    def __init__(self, known, key="key"):
        self.known = known
        self.key = key
        self.faults = []
        self.asked = []
        self.times = []

    def answer(self, form):
        """(HTTP status, body) for the fields of a request."""
        kind = form["method"].partition(".")[0]
        self.asked.append((kind, form["artist"], form[kind]))
        self.times.append(time.monotonic())
        if self.faults:
            return self.faults.pop(0)
        if form["api_key"] != self.key:
            return 403, ERROR.format(10, "Invalid API key - You must be granted a valid key by last.fm")
        tags = self.known.get((kind, form["artist"], form[kind]))
        if tags is None:
            return 404, ERROR.format(6, f"{kind.title()} not found")
        rows = "".join(
            f"<tag><name>{escape(name)}</name><count>{count}</count><url>https://www.last.fm/tag/x</url></tag>"
            for name, count in tags
        )
        attributes = f"artist={quoteattr(form['artist'])} {kind}={quoteattr(form[kind])}"
        return (
            200,
            f'<?xml version="1.0" encoding="UTF-8"?><lfm status="ok"><toptags {attributes}>{rows}</toptags></lfm>',
        )


class ToLocalServer(pylast.httpx.HTTPTransport):
    """pylast speaks https only: its requests go to the local server in plain HTTP."""

    def handle_request(self, request):
        request.url = request.url.copy_with(scheme="http")
        return super().handle_request(request)


@contextmanager
def serve(lastfm):
    """Run the server on a free local port; gives a pylast network that asks it."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = lastfm.answer({name: values[0] for name, values in parse_qs(body).items()})
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    network = pylast.LastFMNetwork(api_key="key", proxy={"https://": ToLocalServer()})
    network.ws_server = (f"127.0.0.1:{server.server_address[1]}", "/2.0/")
    try:
        yield network
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
