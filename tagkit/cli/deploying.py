"""Commands that take training and trained networks elsewhere: export, serve, launch, cloud."""

import argparse
import contextlib
import shlex
import socket
import sys

from tagkit.cli.command import Command
from tagkit.cli.tagging import heard
from tagkit.system import extras
from tagkit.system.arguments import folder, local, positive

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder", type=folder, metavar="RUN", help="a run folder, such as runs/demo/dm16, or a published network"
    )
    parser.add_argument(
        "--format", choices=["keras", "savedmodel", "onnx", "litert"], required=True, help="what the package runs on"
    )
    parser.add_argument("--records", type=folder, metavar="DIR", help="score it on these (default: the run's own)")
    parser.add_argument("--out", type=local, metavar="DIR", help="default: RUN/export/FORMAT")


def export(args: argparse.Namespace) -> None:
    """Write a trained network as a package that loads without tagkit: Keras, SavedModel, ONNX or LiteRT.

    The package holds the network, its tags in order, a model card with its scores, and a script that
    uses it.
    """
    from tagkit.data.records import Records
    from tagkit.deploy.export import export
    from tagkit.training import imported

    records = Records.open(args.records) if args.records else None
    package = export(imported.open_run(args.run_folder), args.format, args.out, records)
    checked = package.content["checked"]
    python = shlex.join([sys.executable])  # any that has the card's packages will do; this one has them
    print(
        f"{package.root} holds the network as {args.format}. On {checked['windows']} {checked['of']}, its scores are "
        f"within {checked['largest_difference']:.1g} of Keras'. Next: cd {package.root} && {python} tag.py SONG"
    )


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=folder, dest="run_folder", metavar="RUN", help="default: runs/demo/dm16")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument("--max-megabytes", type=positive, default=100, metavar="N", help="of a file (default: 100)")
    parser.add_argument("--max-minutes", type=positive, default=20, metavar="N", help="of music (default: 20)")
    parser.add_argument("--timeout", type=positive, default=120, metavar="S", help="for an upload (default: 120)")


def serve(args: argparse.Namespace) -> None:
    """Serve a web page on this machine that tags the music dropped onto it, until Ctrl-C.

    It answers this machine alone unless --host says otherwise; there is no password.
    """
    try:
        import uvicorn

        from tagkit.deploy import serve
    except ImportError as error:
        raise ValueError(f"`tagkit serve` needs {error.name}; {extras.install('serve')}.") from error
    from tagkit.data.records import RecordsError
    from tagkit.evaluation import calibrate, sweep
    from tagkit.evaluation.tag import Tagger
    from tagkit.training.runs import TrainingError

    run = sweep.find_run(args.run_folder)
    known, unknown = heard(run)
    if unknown:
        print(f"tagkit serve: {unknown}", file=sys.stderr)
    tagger = Tagger(run, heard=known)
    if warning := sweep.caution(tagger.run):
        print(f"tagkit serve: {warning}", file=sys.stderr)
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


def _launch_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--workers", type=positive, metavar="N", help="start N processes on this machine")
    where.add_argument("--hosts", metavar="HOST:PORT,...", help="run one process on each of these, started there")
    parser.add_argument("--index", type=int, default=0, metavar="I", help="which of the hosts this one is, from 0")
    parser.add_argument("arguments", nargs="+", metavar="COMMAND", help="as in: launch --workers 2 -- train ...")


def launch(args: argparse.Namespace) -> int:
    """Run a command in several processes that train one network together, here or one on each machine."""
    from tagkit import cli
    from tagkit.deploy import launch

    if args.workers:
        return launch.launch(args.arguments, args.workers)
    launch.join(args.hosts.split(","), args.index)
    return cli.main(args.arguments)


def _cloud_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", type=local, metavar="FILE.toml", help="what to train where; see docs/cluster.md")
    parser.add_argument("--out", type=local, required=True, metavar="DIR", help="the folder to write into")


def cloud(args: argparse.Namespace) -> None:
    """Write what Docker, Vertex AI, Kubernetes and Slurm need to run a training, from one file."""
    from tagkit.deploy import cloud

    job = cloud.Job.read(args.job)
    cloud.write(job, args.out)
    print(f"docker build -f {args.out}/Dockerfile -t {job.image} . && docker push {job.image}")
    print(f"gcloud ai custom-jobs create --display-name={job.name} --region=REGION --config={args.out}/vertex.json")
    print(f"kubectl apply -f {args.out}/kubernetes.json")
    print(f"sbatch {args.out}/job.slurm")


COMMANDS = (
    Command("export", _export_arguments, export, needs_tensorflow=True),
    Command("serve", _serve_arguments, serve, needs_tensorflow=True),
    Command("launch", _launch_arguments, launch),
    Command("cloud", _cloud_arguments, cloud),
)
