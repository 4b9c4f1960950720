"""What a training writes into its run folder. Of several processes that train together, the chief alone writes."""

import tensorflow as tf

from tagkit.system import files
from tagkit.training import checkpoint
from tagkit.training.runs import BEST_WEIGHTS, Run
from tagkit.training.start import Plan, Training


def events(plan: Plan) -> tf.summary.SummaryWriter:
    """The writer of TensorBoard summaries."""
    if plan.devices.chief:
        return tf.summary.create_file_writer(str(plan.run.root / "events"))
    return tf.summary.create_noop_writer()


def save(training: Training) -> None:
    """Replace the checkpoint."""
    if training.plan.devices.chief:
        checkpoint.write(training.plan.run.root, training.progress, training.variables)


def save_best(training: Training) -> None:
    """Replace the best weights."""
    if training.plan.devices.chief:
        with files.atomic(training.plan.run.root / BEST_WEIGHTS) as temporary:
            training.model.save_weights(temporary)


def return_to_best(training: Training) -> None:
    """Take up the best weights; the chief, which wrote them, hands them to the other machines."""
    devices = training.plan.devices
    if devices.chief:
        training.model.load_weights(training.plan.run.root / BEST_WEIGHTS)
    if devices.processes > 1:
        for weight in training.model.weights:
            weight.assign(devices.share(weight.numpy()))


def finish(training: Training) -> None:
    """Write into run.json that the run is finished, and its history."""
    plan, done = training.plan, training.progress
    if plan.devices.chief:
        outcome = {"finished": True, "steps_done": done.step, "cpu_seconds": round(done.cpu_seconds, 2)}
        files.write_json(plan.run.root / "run.json", plan.run.record | outcome | {"history": done.history})
    plan.devices.wait()


def close(plan: Plan) -> Run:
    """Remove the checkpoint of a finished run, also of one that was killed at its very end, and open the run."""
    if not plan.devices.chief:
        return plan.run
    (plan.run.root / checkpoint.CHECKPOINT).unlink(missing_ok=True)
    return Run.open(plan.run.root)
