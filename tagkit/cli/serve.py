"""Serve a web page on this machine that tags the music dropped onto it.

It answers this machine alone unless --host says otherwise; there is no password.
"""

import argparse
import contextlib
import socket
import sys

from tagkit.cli.batch import positive
from tagkit.system import extras
from tagkit.system.arguments import folder

NEEDS_TENSORFLOW = True
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit serve`."""
    parser.add_argument("--run", type=folder, dest="run_folder", metavar="RUN", help="default: runs/demo/dm16")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument("--max-megabytes", type=positive, default=100, metavar="N", help="of a file (default: 100)")
    parser.add_argument("--max-minutes", type=positive, default=20, metavar="N", help="of music (default: 20)")
    parser.add_argument("--timeout", type=positive, default=120, metavar="S", help="for an upload (default: 120)")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    try:
        import uvicorn

        from tagkit.deploy import serve
    except ImportError as error:
        raise ValueError(f"`tagkit serve` needs {error.name}; {extras.install('serve')}.") from error
    from tagkit.data.records import RecordsError
    from tagkit.evaluation import calibrate
    from tagkit.evaluation.tag import Tagger
    from tagkit.training.runs import TrainingError

    tagger = Tagger.open(args.run_folder)
    try:
        measured = calibrate.of_run(tagger.run)
    except (RecordsError, TrainingError) as error:
        print(f"The calibration is not known: {error}", file=sys.stderr)
        measured = None
    limits = serve.Limits(args.max_megabytes, args.max_minutes, upload_s=args.timeout, wait_s=args.timeout)
    hosts = ("localhost", "127.0.0.1", "[::1]") if args.host in LOOPBACK else ("*",)
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    with socket.create_server((args.host, args.port), family=family, backlog=128) as listener:
        address = f"[{args.host}]" if ":" in args.host else args.host
        if args.host not in LOOPBACK:
            print(f"Everyone who reaches {args.host} can use this page; it has no password.", file=sys.stderr)
        print(f"Open http://{address}:{listener.getsockname()[1]} in a browser; Ctrl-C stops.", flush=True)
        app = serve.create_app(tagger, measured, limits, hosts)
        config = uvicorn.Config(
            app, log_level="warning", timeout_keep_alive=5, limit_concurrency=200, server_header=False
        )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises Ctrl-C again once it has stopped
            uvicorn.Server(config).run([listener])
    print("Stopped.")
    return 0
