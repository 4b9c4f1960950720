"""Write what Docker, Vertex AI, Kubernetes and Slurm need to run a training, from one file."""

import argparse

from tagkit.system.arguments import local

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The job's file and where the descriptions go."""
    parser.add_argument("job", type=local, metavar="FILE.toml", help="what to train where; see docs/cluster.md")
    parser.add_argument("--out", type=local, required=True, metavar="DIR", help="the folder to write into")


def run(args: argparse.Namespace) -> int:
    """Write the files, and say how each is used."""
    from tagkit.deploy import cloud

    job = cloud.Job.read(args.job)
    cloud.write(job, args.out)
    for line in (
        f"docker build -f {args.out}/Dockerfile -t {job.image} . && docker push {job.image}",
        f"gcloud ai custom-jobs create --display-name={job.name} --region=REGION --config={args.out}/vertex.json",
        f"kubectl apply -f {args.out}/kubernetes.json",
        f"sbatch {args.out}/job.slurm",
    ):
        print(line)
    return 0
