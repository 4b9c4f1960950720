"""Train a network on records, or go on with an interrupted run."""

import argparse
from dataclasses import fields
from pathlib import Path

from tagkit.config import TrainingConfig

_HELP = {
    "steps": "optimizer steps in all",
    "batch_size": "windows in a step",
    "optimizer": "adamw or sgd",
    "learning_rate": "the peak, after warm-up",
    "warmup": "share of the steps that warms up",
    "weight_decay": "AdamW's",
    "speed_semitones": "play training windows faster or slower by up to so many semitones",
    "attenuation_db": "play training windows softer by up to so many dB, with a random sign",
    "eval_every": "steps between validations",
    "patience": "validations without improvement before stopping early; 0: never",
    "seed": "of weights, dropout and data order",
    "split": "split of the records (default: the records' own)",
    "vocabulary": "vocabulary of the records (default: the records' own)",
}

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit train`: one for each field of TrainingConfig."""
    parser.add_argument("--model", required=True, help="a row of the zoo; see `tagkit models`")
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="made by `tagkit prepare`")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder")
    for f in fields(TrainingConfig):
        if f.name in _HELP:
            kind = str if f.default is None else type(f.default)
            default = "" if f.default is None else f" (default: {f.default})"
            parser.add_argument(
                f"--{f.name.replace('_', '-')}", type=kind, default=f.default, help=_HELP[f.name] + default
            )


def run(args: argparse.Namespace) -> int:
    """Train; Ctrl-C or SIGTERM saves, and ends with exit code 130."""
    config = TrainingConfig(**{f.name: getattr(args, f.name) for f in fields(TrainingConfig)})
    from tagkit.records import Records
    from tagkit.training import train

    done = train(config, Records.open(args.records), args.out)
    best = max(done.record["history"], key=lambda row: row["valid_roc_auc"])
    print(
        f"{config.model}: best validation macro ROC-AUC {best['valid_roc_auc']:.3f} at step {best['step']} "
        f"(split {done.record['split']}). Next: tagkit evaluate {args.out}"
    )
    return 0
