"""Descriptions of jobs: right in form, and the same command on every machine."""

import json
import os
import shlex
import subprocess

import kubernetes_validate
import pytest

from tagkit import cli
from tagkit.deploy import cloud, launch
from tagkit.deploy.cloud import CloudError, Job
from tagkit.deploy.launch import LaunchError

TOML = """\
name = "dm16-mtat"
image = "registry.example/tagkit:1"
train = "--model dm16 --records /data/records --out '/data/my runs/dm16' --devices gpu"
machines = 3
gpus = 2
evaluate = "'/data/my runs/dm16' --json /data/test.json"
"""
COMMAND = ["train", *shlex.split(TOML.splitlines()[2].partition(" = ")[2].strip('"'))]


@pytest.fixture
def job(tmp_path) -> Job:
    (tmp_path / "job.toml").write_text(TOML)
    return Job.read(tmp_path / "job.toml")


def test_the_command_writes_every_description(job, tmp_path, capsys):
    assert cli.main(["cloud", str(tmp_path / "job.toml"), "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(cloud.describe(job))
    assert f"kubectl apply -f {tmp_path}/out/kubernetes.json" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "vertex.json").read_text()) == cloud.vertex(job)


def test_vertex_has_a_chief_workers_no_servers_and_an_evaluator(job):
    chief, workers, servers, evaluator = cloud.vertex(job)["workerPoolSpecs"]
    assert (chief["replicaCount"], workers["replicaCount"], servers) == (1, 2, {})
    assert chief["containerSpec"]["args"] == workers["containerSpec"]["args"] == COMMAND
    assert chief["machineSpec"]["acceleratorCount"] == 2
    assert "tagkit evaluate '/data/my runs/dm16' --json" in evaluator["containerSpec"]["args"][0]
    alone = cloud.vertex(Job("a", "b", "--model dm16"))["workerPoolSpecs"]
    assert len(alone) == 1 and "acceleratorType" not in alone[0]["machineSpec"]


def test_kubernetes_machines_find_each_other(job):
    service, indexed = cloud.kubernetes(job)["items"]
    pod = indexed["spec"]["template"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    launcher, command = container["args"][:6], container["args"][6:]
    assert launcher[2].split(",")[2] == "dm16-mtat-2.dm16-mtat:2222"
    assert command == COMMAND
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"


@pytest.mark.parametrize("machines", [1, 3])
def test_kubernetes_takes_it(machines):
    """Against the schemas of Kubernetes itself."""
    items = cloud.kubernetes(Job("a", "b", "--model dm16", machines=machines, gpus=1))["items"]
    assert items
    for item in items:
        kubernetes_validate.validate(item, "1.29", strict=True)
    items[-1]["spec"]["complitions"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="complitions"):
        kubernetes_validate.validate(items[-1], "1.29", strict=True)


def test_the_slurm_script_tells_every_task_where_it_is(job, tmp_path):
    """The script, run for real between stand-ins of Slurm's two commands and of tagkit."""
    stands_in = {
        "scontrol": "printf 'node1\\nnode2\\nnode3\\n'",
        "srun": 'shift; for i in 0 1 2; do SLURM_PROCID=$i "$@"; done',
        "tagkit": 'printf "%s\\n" "$@" END',
    }
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, body in stands_in.items():
        path = tmp_path / (".venv/bin/tagkit" if name == "tagkit" else name)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    cloud.write(job, tmp_path)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[1-3]"}
    done = subprocess.run(
        ["bash", "job.slurm"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    calls = [call.split("\n") for call in done.stdout.strip().removesuffix("\nEND").split("\nEND\n")]
    hosts = "node1:2222,node2:2222,node3:2222"
    assert calls == [["launch", "--hosts", hosts, "--index", str(i), "--", *COMMAND] for i in range(3)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Not This"}, "name is 'Not This'; take lower-case"),
        ({"name": "a\n#SBATCH --x"}, "take lower-case"),
        ({"image": "a; rm -rf /"}, "image is 'a; rm -rf /'"),
        ({"disk": "data"}, "must begin with a slash"),
        ({"machines": 0}, "machines is 0; it must be at least 1"),
        ({"gpus": "2"}, "gpus is '2'; it must be int"),
        ({"hours": True}, "hours is True; it must be int"),
    ],
)
def test_wrong_settings_are_named(change, says):
    with pytest.raises(CloudError, match=says):
        Job(**{"name": "a", "image": "b", "train": "--model dm16"} | change)


@pytest.mark.parametrize(
    ("text", "says"),
    [("name = ", "is not TOML"), ('nmae = "a"', "unknown setting nmae"), ('name = "a"\nimage = "b"', "lacks train")],
)
def test_wrong_files_are_named(text, says, tmp_path):
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(CloudError, match=says):
        Job.read(tmp_path / "job.toml")


def test_a_machine_is_told_where_it_is(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    launch.join(["a:1", "b:2"], 1)
    told = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    assert json.loads(os.environ["TF_CONFIG"]) == told


def test_hosts_that_make_no_sense_are_refused():
    with pytest.raises(LaunchError, match="no machine 2 among 2"):
        launch.join(["a:1", "b:1"], 2)
    with pytest.raises(LaunchError, match="'b' has no port"):
        launch.join(["a:1", "b"], 0)
