"""A local HTTP server whose faults a test chooses."""

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Faults:
    """What goes wrong; every list is used up, one entry a request, before the server behaves."""

    ranges: bool = True
    statuses: list[int] = field(default_factory=list)
    cut_after: list[int | None] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    wrong_range: list[bool] = field(default_factory=list)
    stall_s: list[float] = field(default_factory=list)
    declare_length: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serve(content: dict[str, bytes], faults: Faults | None = None):
    """Serve `content` (name -> bytes) on a free local port; gives the base URL and the faults."""
    faults = faults or Faults()
    released = threading.Event()

    def next_of(queue, default):
        return queue.pop(0) if queue else default

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args):
            pass

        def do_GET(self):
            name = self.path.lstrip("/")
            wanted = self.headers.get("Range")
            faults.requests.append((name, wanted))
            status = next_of(faults.statuses, 200)
            if status != 200 or name not in content:
                self.answer(status if status != 200 else 404, {"Content-Length": "0", "Retry-After": "3"})
                return
            data = next_of(faults.contents, content[name])
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and faults.ranges else 0
            if first >= len(data) and first:
                self.answer(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
                return
            headers = {"Content-Length": str(len(data) - first)} if faults.declare_length else {}
            if wanted and faults.ranges:
                stated = 0 if next_of(faults.wrong_range, False) else first
                headers["Content-Range"] = f"bytes {stated}-{len(data) - 1}/{len(data)}"
            self.answer(206 if wanted and faults.ranges else 200, headers)
            released.wait(next_of(faults.stall_s, 0))
            cut = next_of(faults.cut_after, None)
            self.wfile.write(data[first:] if cut is None else data[first : first + cut])
            if cut is not None or not faults.declare_length:
                self.close_connection = True

        def answer(self, status, headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", faults
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()
