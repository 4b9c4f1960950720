"""One training described for a container, Vertex AI, Kubernetes and Slurm.

One TOML file says what is trained on how many machines; each description starts the same command on every machine,
and TF_CONFIG tells each machine of the others.
"""

import json
import re
import shlex
import tomllib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from string import Template

from tagkit.system import files

PORT = 2222
_TEMPLATES = Path(__file__).parent
_LABEL = r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?"  # what Kubernetes and Vertex AI take as a name


class CloudError(ValueError):
    """A job's file cannot be used; the message names the setting and what it should be."""


@dataclass(frozen=True)
class Job:
    """A training on one or several machines.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    image : str
        The container image that the Dockerfile was built as and pushed under.
    train : str
        What follows `tagkit train`. Records and run folder lie below `disk`.
    disk : str
        Where the disk that all machines share is mounted.
    machines : int
    gpus, cpus, memory_gb : int
        Of each machine.
    hours : int
        The job is stopped after this many hours; submit it again to resume.
    volume : str
        Kubernetes: the name of the shared disk's PersistentVolumeClaim.
    machine_type, accelerator : str
        Vertex AI's names of the machine and its GPUs.
    evaluate : str
        What follows `tagkit evaluate` on Vertex AI's evaluator, every ten minutes; empty: there is none.
    """

    name: str
    image: str
    train: str
    disk: str = "/data"
    machines: int = 1
    gpus: int = 0
    cpus: int = 4
    memory_gb: int = 16
    hours: int = 24
    volume: str = "tagkit"
    machine_type: str = "n1-standard-8"
    accelerator: str = "NVIDIA_TESLA_T4"
    evaluate: str = ""

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            if type(value) is not f.type:
                raise CloudError(f"{f.name} is {value!r}; it must be {f.type.__name__}.")
            if f.type is int and value < (0 if f.name == "gpus" else 1):
                raise CloudError(f"{f.name} is {value}; it must be at least {0 if f.name == 'gpus' else 1}.")
        for name in ("name", "volume"):
            if not re.fullmatch(_LABEL, getattr(self, name)):
                raise CloudError(f"{name} is {getattr(self, name)!r}; take lower-case letters, digits and hyphens.")
        for name in ("image", "disk", "machine_type", "accelerator"):
            if not re.fullmatch(r"[\w./:@-]+", getattr(self, name)):
                raise CloudError(f"{name} is {getattr(self, name)!r}; it has characters that no such name has.")
        if not self.disk.startswith("/"):
            raise CloudError(f"disk is {self.disk!r}; it must begin with a slash.")

    @classmethod
    def read(cls, path: str | Path) -> "Job":
        """Read a TOML file; CloudError names a setting that is missing, unknown or wrong."""
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise CloudError(f"{path} is not TOML ({error}).") from error
        known = {f.name: f.default is MISSING for f in fields(cls)}
        if wrong := sorted(set(content) - set(known)):
            raise CloudError(f"{path} has the unknown setting {wrong[0]}; there are {', '.join(known)}.")
        if missing := [name for name, needed in known.items() if needed and name not in content]:
            raise CloudError(f"{path} lacks {missing[0]}.")
        return cls(**content)

    @property
    def command(self) -> list[str]:
        """What every machine runs, without the part that says which machine it is."""
        return ["train", *shlex.split(self.train)]


def describe(job: Job) -> dict[str, str]:
    """The descriptions of a job: the name of each file and what it holds."""
    return {
        "Dockerfile": (_TEMPLATES / "Dockerfile").read_text(encoding="utf-8"),
        "vertex.json": _json(vertex(job)),
        "kubernetes.json": _json(kubernetes(job)),
        "job.slurm": slurm(job),
    }


def write(job: Job, out: str | Path) -> list[Path]:
    """Write the descriptions of a job into a folder; returns their paths."""
    written = []
    for name, text in describe(job).items():
        with files.atomic(Path(out) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(Path(out) / name)
    return written


def vertex(job: Job) -> dict:
    """A CustomJobSpec of Vertex AI: chief, workers, no parameter servers, evaluator. Vertex AI sets TF_CONFIG."""
    machine = {"machineType": job.machine_type}
    if job.gpus:
        machine |= {"acceleratorType": job.accelerator, "acceleratorCount": job.gpus}

    def pool(count: int, command: list[str], arguments: list[str]) -> dict:
        container = {"imageUri": job.image, "command": command, "args": arguments}
        return {"machineSpec": machine, "replicaCount": count, "containerSpec": container}

    pools = [pool(1, ["tagkit"], job.command)]
    if job.machines > 1 or job.evaluate:
        pools.append(pool(job.machines - 1, ["tagkit"], job.command) if job.machines > 1 else {})
    if job.evaluate:
        again = f"while true; do tagkit evaluate {shlex.join(shlex.split(job.evaluate))}; sleep 600; done"
        pools += [{}, pool(1, ["sh", "-c"], [again])]
    return {
        "workerPoolSpecs": pools,
        "scheduling": {"timeout": f"{job.hours * 3600}s", "restartJobOnWorkerRestart": True},
    }


def kubernetes(job: Job) -> dict:
    """A headless service, by which machines find each other by name, and an indexed Job."""
    hosts = ",".join(f"{job.name}-{i}.{job.name}:{PORT}" for i in range(job.machines))
    place = ["launch", "--hosts", hosts, "--index", "$(JOB_COMPLETION_INDEX)", "--"] if job.machines > 1 else []
    gpus = {"nvidia.com/gpu": str(job.gpus)} if job.gpus else {}
    text = _filled(
        "kubernetes.json",
        job,
        arguments=json.dumps([*place, *job.command]),
        amounts=json.dumps({"cpu": str(job.cpus), "memory": f"{job.memory_gb}Gi"} | gpus),
        seconds=job.hours * 3600,
    )
    return json.loads(text)


def slurm(job: Job) -> str:
    """A batch script for Slurm, with one task on each machine."""
    gpus = f"#SBATCH --gpus-per-node={job.gpus}" if job.gpus else "# no GPU"
    return _filled("job.slurm", job, gpus=gpus, port=PORT, command=shlex.join(job.command))


def _filled(template: str, job: Job, **more: object) -> str:
    """A template, filled with the job's settings and more."""
    return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(asdict(job) | more)


def _json(content: dict) -> str:
    return json.dumps(content, indent=2) + "\n"
