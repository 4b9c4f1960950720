"""Commands that train networks and list them: train, models."""

import argparse
import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from tagkit.cli.command import Command
from tagkit.system.arguments import finite, folder, local, positive
from tagkit.training import recipes
from tagkit.training.config import LOSSES, TrainingConfig

if TYPE_CHECKING:
    from tagkit.data.records import Records
    from tagkit.training.devices import Devices

_HELP = {
    "model": "a row of the zoo (see `tagkit models`), or a Row of your own: FILE.py:NAME or FILE.json",
    "windowing": "split, none, or superpool_ and a to f, mean, max or attention (default: as the row says)",
    "task": "multi-label, or exclusive for classes of which each clip has one (default: as the records say)",
    "loss": f"one of {', '.join(LOSSES)} or your own, FILE.py:NAME (default: cross entropy of the task)",
    "positive_factor": "how much more a positive counts in the weighted losses (TPF)",
    "tag_balance": "how much more rare tags count in the weighted losses (TB)",
    "focal_gamma": "gamma of the focal loss",
    "init": "start from the best weights of this run, except for its last layer",
    "freeze": "with --init: keep the weights of this stage (such as conv3) and of all before it",
    "teacher": "learn the scores of this run, or of a published network (see `tagkit import --list`), and its tags",
    "teacher_weight": "share of the teacher's scores; the clips' labels have the rest",
    "steps": "total number of optimizer steps",
    "batch_size": "windows per step (clips, if the windowing makes an example of a clip)",
    "optimizer": "adamw, adam or sgd",
    "learning_rate": "peak, reached after warm-up",
    "warmup": "share of the steps with linear warm-up",
    "weight_decay": "added to the gradient, decoupled from it with adamw; 0 if --optimizer names another",
    "speed_semitones": "play training windows up to this many semitones faster or slower",
    "attenuation_db": "play training windows up to this many dB softer, with a random sign",
    "augmentation": "your own, FILE.py:NAME: a function of a window, its sampling rate and a random generator",
    "eval_every": "steps between validations",
    "patience": "stop after this many validations without improvement; 0: never",
    "seed": "seeds the weights, dropout and the order of the data",
    "split": "split of the records (default: the records' own)",
    "vocabulary": "vocabulary of the records (default: the records' own)",
}


FOLDERS = ("init", "teacher")  # settings that name a run


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=folder, required=True, metavar="DIR", help="made by `tagkit prepare`")
    parser.add_argument("--out", type=folder, metavar="RUN", help="the run folder (needed but for --dry-run)")
    parser.add_argument(
        "--devices",
        default="all",
        help="all (every GPU, else the CPU; the default), cpu, gpu, gpu:2 for two of them, or cpu:2 to rehearse",
    )
    parser.add_argument(
        "--scale",
        action="store_true",
        help="multiply batch size and learning rate by the number of devices, and divide the steps by it",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="train nothing; say what it would take, measured for some seconds"
    )
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser, *without: str) -> None:
    """The settings of a training, and the recipe to start from; `without` names those that are left out."""
    parser.add_argument("--recipe", metavar="NAME", help=f"settings to start from: {', '.join(recipes.RECIPES)}")
    for f in fields(TrainingConfig):
        if f.name in _HELP and f.name not in without:
            kind = folder if f.name in FOLDERS else str if f.default is None else type(f.default)
            kind = finite if kind is float else kind
            default = "" if f.default is None or f.name == "model" else f" (default: {f.default}, or the recipe's)"
            parser.add_argument(f"--{f.name.replace('_', '-')}", type=kind, help=_HELP[f.name] + default)


def settings(args: argparse.Namespace) -> TrainingConfig:
    """The settings that `add_settings` read; ValueError for those that would do nothing."""
    given = {name: value for name in _HELP if (value := getattr(args, name, None)) is not None}
    given |= {name: str(given[name]) for name in FOLDERS if name in given}
    if "model" in given:
        from tagkit.graph import given as own

        given["model"] = own.find(given["model"])
    start = recipes.find(args.recipe).config if args.recipe else TrainingConfig()
    _refuse_what_does_nothing(given, start)
    if given.get("optimizer", "adamw") != "adamw":
        given.setdefault("weight_decay", 0.0)  # the default suits adamw alone
    return replace(start, **given)


def train(args: argparse.Namespace) -> None:
    """Train a network on records; rerun the command to resume an interrupted run.

    Ctrl-C and SIGTERM save the state of the training and end the command with exit code 130.
    """
    if not (args.model or args.recipe):
        raise ValueError("Name what to train: --model (see `tagkit models`) or --recipe.")
    if not (args.out or args.dry_run):
        raise ValueError("Name the run folder with --out.")
    config = settings(args)
    from tagkit.data.records import Records
    from tagkit.graph.specs import Own
    from tagkit.training.devices import choose
    from tagkit.training.loop import train

    devices = choose(args.devices)
    if args.scale:
        config = config.scaled(devices.replicas)
    if args.dry_run:
        _rehearse(config, Records.open(args.records), devices)
        return
    done = train(config, Records.open(args.records), args.out, devices=devices)
    if not devices.chief:
        return
    best = max(done.record["history"], key=lambda row: row["valid_roc_auc"])
    own = isinstance(done.row.frontend, Own)
    code = "".join(f" --code {path}" for path in args.code or [args.model.rpartition(":")[0]]) if own else ""
    print(
        f"{config.network}: best validation macro ROC-AUC {best['valid_roc_auc']:.3f} at step {best['step']} "
        f"(split {done.record['split']}). Next: tagkit evaluate {args.out}{code}"
    )


def _rehearse(config: TrainingConfig, records: "Records", devices: "Devices") -> None:
    """Say what a training would take."""
    from datetime import timedelta

    from tagkit.training.rehearsal import rehearse

    found = rehearse(config, records, devices)
    for name, value in found.config.to_dict().items():
        print(f"  {name:<16} {value}")
    example = f"{found.windows} windows" if found.windows else "a window"
    print(
        f"{found.config.network} has {found.parameters:,} parameters and sees {example} of {found.window_s:.2f} s; "
        f"{found.train} clips to train on and {found.valid} to validate, {found.tags} tags.\n"
        f"Memory: {', '.join(f'{gb:.1f} GB of {place}' for place, gb in found.memory.items())}.\n"
        f"{found.step_s:.3f} s a step and {found.validation_s:.1f} s a validation: "
        f"{timedelta(seconds=round(found.total_s))} (h:mm:ss) for {found.config.steps} steps and {found.validations} "
        "validations, as busy as this machine is now. Nothing was kept."
    )


def _refuse_what_does_nothing(given: dict, start: TrainingConfig) -> None:
    """Settings that the recipe's phases or the loss would silently ignore; ValueError names them."""
    ignored = {"optimizer", "learning_rate", "warmup", "weight_decay", "patience"} if start.phases else set()
    loss = given.get("loss", start.loss) or ""
    if "teacher" not in given and not start.teacher:
        ignored |= {"teacher_weight"}
    if loss != "focal":
        ignored |= {"focal_gamma"}
    if not loss.endswith(("_weighted", "weighted_cross_entropy")):
        ignored |= {"positive_factor", "tag_balance"}
    if named := sorted(ignored & set(given)):
        raise ValueError(f"--{named[0].replace('_', '-')} does nothing with this recipe or loss; leave it out.")


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", type=local, metavar="FILE", help="a Python file with rows; it is run")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument(
        "--tags", type=positive, default=50, metavar="N", help="outputs to count parameters for (default: 50)"
    )


def models(args: argparse.Namespace) -> None:
    """List the networks of the zoo, or those of a file of your own."""
    from tagkit.graph import given, zoo

    chosen = given.rows(args.source) if args.source else zoo.ROWS
    rows = (zoo.describe(row, args.tags) for row in chosen.values())  # each is built, and shown as soon as it is
    if args.format == "json":
        print(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return
    print(f"{'name':<22} {'samples':>8} {'parameters':>11} {'MMACs':>8}  source")
    for row in rows:
        counts = f"{row['input_samples']:>8} {row['parameters']:>11,} {row['macs'] / 1e6:>8.1f}"
        print(f"{row['name']:<22} {counts}  {row['source']}", flush=True)


COMMANDS = (
    Command("train", _train_arguments, train, needs_tensorflow=True),
    Command("models", _models_arguments, models, needs_tensorflow=True),
)
