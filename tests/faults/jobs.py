"""Tiny jobs of every kind, which run in a process of their own, count their work, and are killed at a given moment."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tagkit.training.config import TrainingConfig

# Whatever touches a file of the job is a moment at which it may die; so is every unit of work.
_TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir")
# Stochastic pooling has a random state, which a checkpoint has to hold.
TRAINING = TrainingConfig(model="ds256ra_stochastic", steps=12, batch_size=2, eval_every=4, learning_rate=1e-3)


class Watch:
    """Counts the moments and the work of a job, and kills it at a moment."""

    def __init__(self, folder: Path, log: Path, moment: int = 0, delay_s: float = 0.0):
        self.work = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.folder, self.moment, self.delay_s, self.moments = str(folder), moment, delay_s, 0
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if event in _TOUCHES and isinstance(arguments[0], str | Path) and str(arguments[0]).startswith(self.folder):
            self._count()

    def _count(self) -> None:
        self.moments += 1
        if self.moments == self.moment and not self.delay_s:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        elif self.moments == self.moment:
            timer = threading.Timer(self.delay_s, os.killpg, (os.getpgrp(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    def worked(self, *_: object) -> None:
        """A unit of work is done."""
        os.write(self.work, b".")
        self._count()

    def counted(self, function: Callable) -> Callable:
        """`function`, each call of which is a unit of work."""

        def call(*arguments: object, **options: object) -> object:
            self.worked()
            return function(*arguments, **options)

        return call


def run(job: Callable, root: Path, arguments: tuple, log: Path, moment: int = 0, delay_s: float = 0.0) -> int:
    """Run one of the jobs below, perhaps up to a moment only; writes how many moments it had."""
    watch = Watch(root.parent, log, moment, delay_s)
    job(watch, root, *arguments)
    log.with_suffix(".moments").write_text(str(watch.moments))
    return 0


def prepare(watch: Watch, root: Path, catalog) -> None:
    from tagkit import audio
    from tagkit.data.prepare import prepare as prepare_records

    audio.read = watch.counted(audio.read)
    prepare_records(catalog, root, sr=16_000, clips_per_shard=2, jobs=1, progress=False)


def render(watch: Watch, root: Path, scores: Path) -> None:
    from tagkit.data import demo
    from tagkit.data.demo import build, synthesis

    if not (root / build.SCORES).exists():
        root.mkdir(exist_ok=True)
        shutil.copy(scores, root / ".scores")
        (root / ".scores").replace(root / build.SCORES)
    synthesis.play = watch.counted(synthesis.play)
    demo.render(root, 2, jobs=1, progress=False)


def download(watch: Watch, root: Path, dataset, url: str) -> None:
    import requests

    from tagkit.data.download import fetch

    chunks = requests.Response.iter_content

    def watched(response, size):
        for chunk in chunks(response, size):
            watch.worked()
            yield chunk

    requests.Response.iter_content = watched
    fetch(dataset, root, url, progress=False)


def train(watch: Watch, root: Path, records: Path) -> None:
    from tagkit.data.records import Records
    from tagkit.training import loop

    loop.train(TRAINING, Records.open(records), root, progress=False, after=watch.worked)


def evaluate(watch: Watch, root: Path, run_folder: Path) -> None:
    from tagkit.data.records import Records
    from tagkit.evaluation import evaluate as evaluation
    from tagkit.training.runs import Run

    Records.read = watch.counted(Records.read)
    evaluation.evaluate(Run.open(run_folder), resamples=50, progress=False).save(root / "test.json")
