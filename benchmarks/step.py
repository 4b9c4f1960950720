"""Training step: the same network, batch and optimizer in PyTorch, and the share of this machine's matrix peak."""

from benchmarks.keras_step import BATCH, differences, keras_job, matmul_job, profile, pytorch_job
from benchmarks.pairs import Contestant, Reading, Result, in_turns, ratios
from benchmarks.setting import Setting
from tagkit.graph import zoo

# Steps of a turn; the bar against PyTorch, and of the share of the peak.
NETWORKS = {"dm16": (6, 2, None), "samplecnn": (1, 3, 0.55), "crnn": (1, None, None)}
MATRIX, PRODUCTS = 2048, 6
CLOSE = 1e-4


def run(setting: Setting) -> Result:
    """One network after the other, so that memory holds only two at a time."""
    result = Result()
    for name in list(NETWORKS)[: setting.size(3, 1)]:
        steps, faster, share = NETWORKS[name]
        apart, ours, theirs = differences(name)
        if apart > CLOSE or ours != theirs:
            raise RuntimeError(f"{name} in PyTorch is another network: logits differ by {apart}, {ours} / {theirs}.")
        result.notes.append(f"{name}: {ours:,} parameters in both; logits differ by at most {apart:.1e}.")
        jobs = (keras_job, name, steps), (pytorch_job, name, steps), (matmul_job, MATRIX, PRODUCTS)
        warm_up = setting.size(2, 1)
        with (
            Contestant(*jobs[0], warm_up=warm_up) as keras,
            Contestant(*jobs[1], warm_up=warm_up) as torch,
            Contestant(*jobs[2]) as matmul,
        ):
            columns = list(zip(*in_turns([keras, torch, matmul], setting.rounds), strict=True))
        result.readings += _readings(name, columns, steps, faster, share)
        if not all(r.holds for r in result.readings if r.name.startswith(name)):
            result.profiles[f"Where {name}'s step spends its time"] = profile(name)
    return result


def _readings(name: str, columns: list, steps: int, faster: float | None, share: float | None) -> list[Reading]:
    keras, torch, matmul = columns
    # A training step costs three times its forward pass: each product appears again in the gradients of its factors.
    flop = 6 * zoo.describe(name)["macs"] * BATCH * steps
    peak = [2 * MATRIX**3 * PRODUCTS / s.cpu for s in matmul]
    shares = tuple(flop / s.cpu / p for s, p in zip(keras, peak, strict=True))
    return [
        Reading(f"{name}, tagkit", tuple(BATCH * steps / s.wall for s in keras), "examples/s"),
        Reading(f"{name}, PyTorch", tuple(BATCH * steps / s.wall for s in torch), "examples/s"),
        Reading(f"{name}, tagkit over PyTorch", ratios(torch, keras), bar=faster),
        Reading(f"{name}, the same in CPU seconds", ratios(torch, keras, cpu=True)),
        Reading(f"{name}, share of the matrix peak (per CPU second)", shares, "", share),
        Reading(f"{name}, matrix peak", tuple(p / 1e9 for p in peak), "GFLOP/CPU s"),
    ]
