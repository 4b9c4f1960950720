"""Records made by a Dask cluster: the same bytes, also where a worker is lost."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from threading import Thread

import distributed
import pytest

from tagkit.data import prepare
from tagkit.system import processes
from tagkit.system.processes import ClusterError

# Sockets of a cluster that is closing are left to the garbage collector.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def shards(root):
    return {path.name: path.read_bytes() for path in root.iterdir() if path.suffix in (".tfrecord", ".json", ".jsonl")}


@contextmanager
def hand_started(folder, workers):
    """A scheduler and workers as a person would start them; gives its address and the workers' processes."""
    address = folder / "scheduler.json"
    with ExitStack() as stack:

        def run(module, *arguments):
            command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
            with (folder / f"{module}.log").open("a") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        run("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address))
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--scheduler-file", str(address))
        started = [run("dask_worker", *options) for _ in range(workers)]
        with distributed.Client(scheduler_file=str(address), timeout=120) as client:
            client.wait_for_workers(workers, timeout=120)
            yield client.scheduler.address, started


def kill_at(out, shard_count, process):
    """Kill a process once there are so many shards."""
    while len(list(out.glob("shard-*.json"))) < shard_count:
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(tone_catalog, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    prepare.prepare(tone_catalog, out, sr=16_000, clips_per_shard=2, jobs=1, progress=False)
    return shards(out)


def test_a_local_cluster_makes_the_same_records(whole, tone_catalog, tmp_path):
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        processes.on_cluster(cluster.scheduler_address),
    ):
        made = prepare.prepare(tone_catalog, tmp_path, sr=16_000, clips_per_shard=2, progress=False)
    assert shards(tmp_path) == whole
    assert list(made.quarantine["clip_id"]) == ["7"]


def test_a_lost_worker_costs_its_task_only(whole, tone_catalog, tmp_path):
    out = tmp_path / "records"
    with hand_started(tmp_path, 2) as (address, workers):
        Thread(target=kill_at, args=(out, 3, workers[0].pid), daemon=True).start()
        with processes.on_cluster(address):
            prepare.prepare(tone_catalog, out, sr=16_000, clips_per_shard=2, progress=False)
        assert workers[0].wait(10) == -signal.SIGKILL
        assert workers[1].poll() is None
    assert shards(out) == whole


def test_no_scheduler_is_said(monkeypatch):
    monkeypatch.setattr(processes, "_ANSWERS_WITHIN_S", 1)
    said = pytest.raises(ClusterError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9")
    with said, processes.on_cluster("tcp://127.0.0.1:9"):
        pass
