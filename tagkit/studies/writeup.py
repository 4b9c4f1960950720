"""docs/results.md and its figures, written from the results of studies alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tagkit import audio, plots
from tagkit.evaluation import compare
from tagkit.evaluation.compare import ComparisonError, Group
from tagkit.studies import longer, published
from tagkit.studies.plans import SPANS
from tagkit.studies.store import Store
from tagkit.system import files, paths

HEAD = """# Results

`tagkit results` writes this page from the records in `docs/results/` and nothing else.

Every score is a mean over seeds; *over seeds* gives the lowest and the highest. Its 95 % interval is for these trained
networks on other clips of the same kind; [validation](validation.md) says how often such intervals hold the true score.
PR-AUC is average precision, which comes out too high on few clips. The interval allows for that, so the score is near
its upper end. *Difference* is the difference in macro ROC-AUC from the table's reference, on the same clips. Its
interval and *p*, the two-sided p-value, are for other clips and other seeds. Holm's method adjusts *p*, but not the
interval, for the number of networks. A network with one seed cannot tell what other seeds would bring: *clips only*.
*valid* is the best validation ROC-AUC, by which networks are chosen. *examples/CPU s* counts training windows, or whole
clips where the windowing makes one example of a clip.
"""

RECORDED = (
    "487 clips of 243 recordings in the Emotify collection (Magnatune's music), in MagnaTagATune's layout, with the "
    "tags of MagnaTagATune's clips of the same recordings. Each artist's clips are in one folder, so the parts of the "
    "split `pons` share no artist, except for one test clip. This is not MagnaTagATune's own test part: do not compare "
    "these scores with any on it."
)

TAUGHT = (
    "Each network learns from the clips' tags, from the scores of musicnn-mtat (*teacher*), or from half of each "
    "(*both*), everything else alike. The teacher was trained on all of MagnaTagATune, other clips of the test "
    "recordings included: a student's score is one with a teacher that may know these recordings. The time that the "
    "teacher took to score the clips is not in the budget.\n"
)

LONGER = (
    "The zoo's minute on 195 clips is enough for cheap networks alone. Here the same networks are trained for longer, "
    "on 64 pieces, and tested on pieces that none has heard. Every span is a training of its own, from the start, with "
    "the same learning rate (1e-3, tuned for none), which decays to 0 at its end."
)

PLAIN_BANK = "filters trained, log"
BANKS = (
    "`tdfbank` reads the waveform through 96 pairs of filters that start as Gabor's at mel centres, takes the "
    f"logarithm of their energies (*{PLAIN_BANK}*), and has logmel's trunk behind. Here its parts are changed one by "
    "one: filters that stay as they start; PCEN (Wang et al. 2017), which divides each energy by its own recent past, "
    "trained or fixed at its start, in place of the logarithm. Adam moves every tap by about the learning rate a step, "
    "which is little beside the peak of 64 that the filters have at their start, so training cannot take them far; "
    "*from peak 1* it can, and so it can the white noise of the same energy that they start as in the last row."
)
MOVED = (
    "How far training moved the filters, medians over filters and seeds. *Centre* (half of a pair's power lies below) "
    "and *width* (of the middle half of its power) by so many octaves, whichever way; *width ratio* is after to "
    "before; *change* is the share of a kernel's norm that is not the kernel as it was, at any level."
)

# What networks are given, as evaluation records it.
KINDS = {
    "raw": "on the raw waveform",
    "learned bank": "on the waveform, with filters that start at the mel scale and are trained",
    "mel": "on a spectrogram",
}


def write(folder: Path | None = None, out: Path | None = None, figures: Path | None = None) -> list[Path]:
    """Write up all studies that have results.

    Parameters
    ----------
    folder : path, optional
        Holds a `Store` for each study; default: docs/results.
    out, figures : path, optional
        The page and the folder of its pictures; default: docs/results.md and figures/.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ComparisonError
        There are no results, or a study lacks what the others are compared with; nothing was written.
    """
    folder = folder or paths.results_dir()
    out, figures = out or folder.with_suffix(".md"), figures or paths.figures_dir()
    studies = {name: results for name in _SECTIONS if (results := Store(name, folder).read())}
    if not studies:
        raise ComparisonError(f"{folder} holds no results; run `tagkit study zoo` first.")
    groups = {name: compare.group(results.values()) for name, results in studies.items()}
    text = [HEAD, *(_SECTIONS[name](some) for name, some in groups.items()), _beside()]
    plots.use_style()
    written = [path for name, some in groups.items() for path in _draw(name, some, figures)]
    with files.atomic(out) as temporary:
        temporary.write_text("\n".join(text), encoding="utf-8")
    return [out, *written]


def _zoo(groups: Sequence[Group]) -> str:
    by_name = {g.name: g for g in groups}
    plain = _needed(_plain(groups), "zoo", "network as its row draws it")
    windowing = [g for g in groups if g.first.family == "windowing"]
    text = [f"## The zoo on rendered music\n\n{_terms(groups)}\n"]
    text += [_verdict(plain), _picture("Scores of all networks", "results_zoo")]
    text += [_picture("What a score costs", "results_zoo_cost"), _picture("Scores of each tag", "results_zoo_tags")]
    reference = "dm16" if "dm16" in by_name else plain[0].name
    text.append(f"### Every network on its own windows\n\n{_table(plain, reference)}\n")
    for model in ("dm16", "ds256ra"):
        merged = [g for g in windowing if g.name.startswith(model)]
        if model in by_name and merged:
            text.append(f"### Windowing of {model}\n")
            text.append(f"`{model}` alone splits: each window is an example, and probabilities are averaged.\n")
            text.append(_table([by_name[model], *merged], model) + "\n")
    others = [g for g in windowing if not g.name.startswith(("dm16", "ds256ra"))]
    if others:
        text.append(f"### The predecessor's own super-pooling trunks\n\n{_table(others, others[0].name)}\n")
    losses = [g for g in groups if g.first.family == "losses"]
    if losses:
        compared = [*(g for g in plain if g.name == "dm16"), *losses]
        text.append(f"### Losses of dm16\n\n{_table(compared, compared[0].name)}\n")
    return "\n".join(text)


def _recordings(groups: Sequence[Group]) -> str:
    raw = [g for g in groups if g.first.network.input != "mel"]
    raw = _needed(raw, "recordings", "network of the waveform")
    most = max(len(g.seeds) for g in raw)
    chosen = compare.best([g for g in raw if len(g.seeds) == most])
    sizes, least = chosen.first.split_sizes, chosen.first.min_positives
    scores = f"macro ROC-AUC {chosen.score('roc_auc')}, PR-AUC {chosen.score('pr_auc')}"
    return "\n".join(
        [
            f"## Real recordings\n\n{RECORDED}\n\n{_terms(groups)}",
            f"Training clips: {sizes['train']}; tags with at least {least} positive test clips.\n",
            f"The best raw network by validation score is **{chosen.name}**: {scores} ({_seeds(most)}).\n",
            _picture("Scores on real recordings", "results_recordings"),
            _table(groups, chosen.name) + "\n",
        ]
    )


def _pretraining(groups: Sequence[Group]) -> str:
    fresh = [g for g in groups if not g.first.training.init]
    fresh = _needed(fresh, "pretraining", "training from scratch")
    scratch = min(fresh, key=lambda g: g.first.budget_s).name
    tags = compare.tag_table(groups)
    gain = tags.sub(tags[scratch], axis=0).drop(columns=scratch)
    gain = gain.loc[gain.mean(axis=1).sort_values(ascending=False).index]
    return "\n".join(
        [
            f"## Pretraining on rendered music\n\n{_terms(groups)}",
            "The trunk is trained on rendered clips with exact tags, gets a new last layer, and is trained on",
            "recordings. *Varied*: rendered windows are also played faster, slower and softer.\n",
            _picture("Scores with and without pretraining", "results_pretraining"),
            _table(groups, scratch),
            f"\nGain of each tag in ROC-AUC over `{scratch}`, mean over seeds. Single tags are noisy.\n",
            compare.markdown(gain.map("{:+.3f}".format), "tag") + "\n",
        ]
    )


def _beside() -> str:
    """Published scores, each with its split."""
    rows = {
        s.model: {
            "input": s.input,
            "split": s.split,
            "ROC-AUC": f"{s.roc_auc:.4f}",
            "PR-AUC": "-" if s.pr_auc is None else f"{s.pr_auc:.4f}",
            "note": s.note,
        }
        for s in published.SCORES
    }
    before = {s.model: {"input": s.input, "ROC-AUC": f"{s.roc_auc:.4f}"} for s in published.PREDECESSOR}
    return "\n".join(
        [
            "## Published scores\n",
            "Do not compare these with the scores above, which come from other data, and compare them with each other",
            "only within a split. To rerun them, see [reproduce.md](reproduce.md).\n",
            compare.markdown(pd.DataFrame.from_dict(rows, orient="index"), "model") + "\n",
            f"The predecessor's scores are not comparable with any others: {published.PREDECESSOR_NOTE}.\n",
            compare.markdown(pd.DataFrame.from_dict(before, orient="index"), "model") + "\n",
        ]
    )


def _terms(groups: Sequence[Group]) -> str:
    """The terms on which a study's networks were trained and scored."""
    budgets = " or ".join(f"{b:g}" for b in sorted({r.budget_s for g in groups for r in g.results}))
    spent = pd.Series([r.training.cpu_seconds for g in groups for r in g.results])
    counts = sorted({len(g.seeds) for g in groups})
    seeds = _seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {_seeds(counts[-1])}"
    sentences = [
        f"{len(groups)} networks, {seeds} each.",
        f"Each training has {budgets} s of CPU time on one core for its steps",
        f"(actually used: {spent.quantile(0.05):.0f} to {spent.quantile(0.95):.0f} s, 5th to 95th percentile, as later",
        "seeds repeat the first one's number of steps, on any machine).",
        "All networks share one learning rate and schedule, tuned for none; a batch is 16 windows, or 4 clips.",
        compare.conditions(groups),
    ]
    if (made_by := groups[0].first.decoding) and made_by < audio.DECODING:
        sentences.append(
            f"Version {audio.DECODING} of the decoder gives other samples (it takes out constant offsets): new "
            "trainings do not join these, but start the study anew."
        )
    if lacking := groups[0].first.incomplete_resamples:
        sentences.append(f"In {lacking:.0%} of the resamples, some tag has no clip; these average over the other tags.")
    return " ".join(sentences)


def _verdict(groups: Sequence[Group]) -> str:
    """Whether waveform networks keep up with spectrogram networks, by the best of each kind on the validation part."""
    kinds = {kind: [g for g in groups if g.first.network.input == kind] for kind in KINDS}
    if not kinds["mel"]:
        return ""
    mel = compare.best(kinds["mel"])
    sentences = [f"At equal CPU time, best by validation score: `{mel.name}` {mel.score('roc_auc')} {KINDS['mel']};"]
    sentences += [
        _beside_mel(compare.best(some), mel, KINDS[kind]) for kind, some in kinds.items() if some and kind != "mel"
    ]
    sentences.append("[Decision 12](decisions/0012-a-filter-bank-that-starts-as-the-ears.md) lists what was tried.")
    return f"**Raw against spectrogram.** {' '.join(sentences)}\n"


def _beside_mel(raw: Group, mel: Group, kind: str) -> str:
    """How far a waveform network is from a spectrogram network."""
    difference = compare.difference(raw, mel)
    gap = difference.interval
    answer = "no significant difference"
    if gap.low > 0:
        answer = "it is ahead"
    if gap.high < 0:
        answer = f"it falls short by {-gap.value:.3f}"
    return f"`{raw.name}` {raw.score('roc_auc')} {kind}, a difference of {compare.signed(difference)}: {answer}."


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _plain(groups: Sequence[Group]) -> list[Group]:
    """Networks as their rows define them: no other windowing, no other loss."""
    return [g for g in groups if g.first.family not in ("windowing", "losses")]


def _teacher(groups: Sequence[Group]) -> str:
    text = [f"## A teacher\n\n{RECORDED}\n\n{_terms(groups)}", TAUGHT]
    text.append(_picture("Scores with and without a teacher", "results_teacher"))
    for family in dict.fromkeys(g.first.family for g in groups):
        some = [g for g in groups if g.first.family == family]
        untaught = [g for g in some if not g.first.training.teacher]
        reference, *_ = _needed(untaught, "teacher", f"{family} that learned from tags")
        text.append(f"### {family}\n\n{_table(some, reference.name)}\n")
        for g in some:
            told = [r.agreement for r in g.results if r.agreement is not None]
            if told:
                text.append(f"Scores of `{g.name}` and of its teacher correlate by {sum(told) / len(told):.3f}.\n")
    return "\n".join(text)


def _hour(groups: Sequence[Group]) -> str:
    spans = longer.by_span(groups)
    *shorter, last = spans
    spent = {
        span: [r.training.cpu_seconds / r.budget_s for g in models.values() for r in g.results]
        for span, models in spans.items()
    }
    text = [f"## Longer training on more rendered music\n\n{LONGER}\n"]
    text.append(
        f"Training clips: {groups[0].first.split_sizes['train']}. CPU time for training steps on one core: "
        + "; ".join(f"{SPANS[s]:,} s (used: {min(v):.2f} to {max(v):.2f} of it)" for s, v in spent.items())
        + f". {compare.conditions(groups)}\n"
    )
    text += [f"After {_span(span)}: {_verdict(list(spans[span].values()))}" for span in spans]
    for span in shorter:
        found, count = longer.rank_correlation(spans[span], spans[last])
        text.append(
            f"Ranks of {count} networks after {_span(span)} and after {_span(last)} correlate by {found} (Spearman's "
            "coefficient; its interval is over clips, for these trained networks).\n"
        )
    text.append(_picture("Scores over the time of training", "results_hour"))
    text.append(compare.markdown(longer.table(spans)) + "\n")
    text.append(f"### After {_span(last)}\n\n{_table(list(spans[last].values()), _reference(spans[last]))}\n")
    return "\n".join(text)


def _span(span: str) -> str:
    return {"minute": "a minute", "hour": "an hour"}.get(span, span)


def _reference(models: Mapping[str, Group]) -> str:
    """The name of logmel's group, or of the best by validation score where there is none."""
    return (models.get("logmel") or compare.best(list(models.values()))).name


def _bank(groups: Sequence[Group]) -> str:
    groups = _needed(groups, "bank", "network with a learned bank")
    measures = {"centre": "centre", "width": "width", "width ratio": "width_ratio", "change": "change"}
    rows = {
        g.name: {title: f"{np.median([r.moved[key] for r in g.results]):.2g}" for title, key in measures.items()}
        for g in groups
        if all(r.moved for r in g.results)
    }
    moved = compare.markdown(pd.DataFrame.from_dict(rows, orient="index"), "network")
    reference = next(iter(g.name for g in groups if g.name == PLAIN_BANK), groups[0].name)
    steps = [g.training("steps_done") for g in groups]
    taken = (
        f"A training took {min(steps):,.0f} to {max(steps):,.0f} steps. On a faster machine the same minute holds more "
        "of them, so compare these scores with one another, and not with those of other tables."
    )
    text = [f"## What is learned in a learned bank\n\n{BANKS}\n\n{_terms(groups)} {taken}\n"]
    text += [_picture("Scores of learned banks", "results_bank"), _table(groups, reference), f"\n{MOVED}\n", moved]
    return "\n".join(text) + "\n"


def _needed(groups: Sequence[Group], study: str, what: str) -> Sequence[Group]:
    """The groups that a section cannot do without; ComparisonError if there are none."""
    if not groups:
        raise ComparisonError(f"The results of study {study} hold no {what} yet; go on with `tagkit study {study}`.")
    return groups


def _table(groups: Sequence[Group], reference: str) -> str:
    return compare.markdown(compare.as_text(compare.table(groups, reference)))


def _picture(title: str, name: str) -> str:
    return f"![{title}](../figures/{name}.png)\n"


def _draw(name: str, groups: Sequence[Group], folder: Path) -> list[Path]:
    """Draw the ranking of a study (of `hour` its scores over time), and for the zoo also cost and tags."""
    part = f"{groups[0].first.part} part"
    title = f"{_TITLES[name]}: {part} of split {groups[0].first.split!r}"
    if name == "hour":
        ax = plots.training_curves(**longer.curves(longer.by_span(groups)), title=title)
        plots.logarithmic(ax.xaxis)
    else:
        ax = plots.score_ranking(**compare.ranking(groups), title=title)
    drawn = {f"results_{name}": ax}
    if name == "zoo":
        plain = _plain(groups)
        drawn["results_zoo_cost"] = plots.score_against_cost(**compare.costs(plain))
        by_valid = sorted(plain, key=lambda g: -g.training("best_valid_roc_auc"))
        title = f"ROC-AUC of each tag, {part}; networks by validation score"
        drawn["results_zoo_tags"] = plots.tag_heat_map(compare.tag_table(by_valid[:16]), title=title)
    paths = [plots.save_figure(ax.figure, folder / f"{picture}.png") for picture, ax in drawn.items()]
    for ax in drawn.values():
        plt.close(ax.figure)
    return paths


_TITLES = {
    "zoo": "Rendered music, pieces that no network has heard",
    "recordings": "Real recordings",
    "pretraining": "Real recordings, with and without pre-training",
    "teacher": "Real recordings, taught by tags or by a teacher",
    "hour": "Rendered music, longer training",
    "bank": "Learned filter banks on rendered music",
}
_SECTIONS: dict[str, Callable[[Sequence[Group]], str]] = {
    "zoo": _zoo,
    "hour": _hour,
    "recordings": _recordings,
    "pretraining": _pretraining,
    "teacher": _teacher,
    "bank": _bank,
}
