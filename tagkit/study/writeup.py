"""docs/results.md and its figures, made of the results of studies alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from tagkit import comparison, files, paths, plots, published
from tagkit.comparison import Group

HEAD = """# Results

Written by `tagkit results` from the records in `docs/results/`, one small JSON file for each training, and from
nothing else. Every score is a mean over seeds; its interval draws whole pieces (or artists) of the test part again and
again, for these seeds. *Difference* is that of macro ROC-AUC to the table's reference, paired over the same resamples;
*p* is its two-sided bootstrap value, adjusted for the number of networks by Holm's method. *valid* is the best
validation ROC-AUC, by which networks are chosen.
"""


def write(folder: Path | None = None, out: Path | None = None, figures: Path | None = None) -> list[Path]:
    """Write up all studies that have results.

    Parameters
    ----------
    folder : path, optional
        Holds a folder of results for each study; default: docs/results.
    out, figures : path, optional
        The page, default: docs/results.md; and the folder of its pictures, default: figures/.

    Returns
    -------
    list of Path
        What was written.
    """
    folder = folder or paths.results_dir()
    out, figures = out or folder.with_suffix(".md"), figures or paths.figures_dir()
    plots.use_style()
    text, written = [HEAD], []
    for name, section in _SECTIONS.items():
        if (folder / name).is_dir():
            groups = comparison.group(comparison.load(folder / name))
            text.append(section(groups))
            written += _draw(name, groups, figures)
    text.append(_beside())
    with files.atomic(out) as temporary:
        temporary.write_text("\n".join(text), encoding="utf-8")
    return [out, *written]


def best(groups: Sequence[Group]) -> Group:
    """The network with the best validation score (mean over seeds)."""
    return max(groups, key=lambda g: g.training("best_valid_roc_auc"))


def families(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """Networks by the question that they were trained for."""
    found: dict[str, list[Group]] = {}
    for g in groups:
        found.setdefault(g.first["family"], []).append(g)
    return found


def _zoo(groups: Sequence[Group]) -> str:
    by_name = {g.name: g for g in groups}
    plain = [g for g in groups if g.first["family"] not in ("windowing", "losses")]
    raw, mel = ([g for g in plain if g.first["network"]["input"] == kind] for kind in ("raw", "mel"))
    text = [f"\n## The zoo on rendered music\n\n{_terms(groups)}\n"]
    if raw and mel:
        text.append(_verdict(best(raw), best(mel)))
    text.append("![Scores of all networks](../figures/results_zoo.png)\n")
    text.append("![What a score costs](../figures/results_zoo_cost.png)\n")
    text.append(f"### Every network on its own windows\n\n{_table(plain, _either(by_name, 'dm16', plain))}\n")
    for model in ("dm16", "ds256ra"):
        merged = [g for g in groups if g.first["family"] == "windowing" and g.name.startswith(model)]
        if model in by_name and merged:
            text.append(
                f"### Windowing of {model}\n\n`{model}` alone splits: each window is an example, probabilities "
                f"are averaged.\n\n"
                f"{_table([by_name[model], *merged], model)}\n"
            )
    others = [g for g in groups if g.first["family"] == "windowing" and not g.name.startswith(("dm16", "ds256ra"))]
    if others:
        text.append(f"### The predecessor's own super-pooling trunks\n\n{_table(others, others[0].name)}\n")
    if "dm16" in by_name and (weighted := families(groups).get("losses")):
        text.append(f"### Losses of dm16\n\n{_table([by_name['dm16'], *weighted], 'dm16')}\n")
    return "\n".join(text)


def _recordings(groups: Sequence[Group]) -> str:
    raw = [g for g in groups if g.first["network"]["input"] == "raw"]
    chosen = best([g for g in raw if len(g.seeds) == max(len(g.seeds) for g in raw)])
    return (
        f"\n## Real recordings\n\n{_terms(groups)} {chosen.first['min_positives']} test clips with a tag are "
        f"the least that is "
        f"scored.\n\nThe best raw network by validation score is **{chosen.name}**: macro ROC-AUC "
        f"{chosen.score('roc_auc')}, "
        f"PR-AUC {chosen.score('pr_auc')} (mean of {len(chosen.seeds)} seeds).\n\n{_table(groups, chosen.name)}\n"
    )


def _pretraining(groups: Sequence[Group]) -> str:
    scratch = groups[0].name
    tags = comparison.tag_table(groups)
    gain = tags.sub(tags[scratch], axis=0).drop(columns=scratch)
    gain = gain.loc[gain.mean(axis=1).sort_values(ascending=False).index]
    return (
        f"\n## Pre-training on rendered music\n\nThe trunk is trained on rendered clips with exact tags, gets a "
        f"new last layer, "
        f"and is trained on.\n\n{_terms(groups)}\n\n{_table(groups, scratch)}\n\nWhat it brings each tag "
        f"(ROC-AUC above "
        f"`{scratch}`, mean over seeds; single tags are "
        f"noisy):\n\n{comparison.markdown(gain.map('{:+.3f}'.format), 'tag')}\n"
    )


def _terms(groups: Sequence[Group]) -> str:
    """On which terms the networks of a study were trained and scored."""
    budgets = sorted({r["budget_s"] for g in groups for r in g.results})
    spent = pd.Series([r["training"]["cpu_seconds"] for g in groups for r in g.results])
    seeds = sorted({len(g.seeds) for g in groups})
    count = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"
    return (
        f"{len(groups)} networks, {count} each. Every training had {' or '.join(f'{b:g}' for b in budgets)} s "
        f"of CPU time for its "
        f"steps on one core (spent: {spent.quantile(0.05):.0f} to {spent.quantile(0.95):.0f} s, 5th to 95th "
        f"percentile), the "
        f"same settings, none of them tuned for a network. {comparison.conditions(groups)}"
    )


def _verdict(raw: Group, mel: Group) -> str:
    gap = comparison.difference(raw, mel).interval
    equal = "at least equals" if gap.high >= 0 else "falls short of"
    return (
        f"**Raw against spectrogram.** By validation score the best raw-waveform network is `{raw.name}` "
        f"({raw.score('roc_auc')}), the best spectrogram network `{mel.name}` ({mel.score('roc_auc')}): a "
        f"difference of "
        f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]. At equal CPU time the raw waveform {equal} the "
        f"spectrogram.\n"
    )


def _table(groups: Sequence[Group], reference: str) -> str:
    return comparison.markdown(comparison.as_text(comparison.table(groups, reference)))


def _either(by_name: dict[str, Group], name: str, groups: Sequence[Group]) -> str:
    return name if name in by_name else groups[0].name


def _beside() -> str:
    """Published scores, each with its split."""
    rows = [
        {
            "input": s.input,
            "split": s.split,
            "ROC-AUC": f"{s.roc_auc:.4f}",
            "PR-AUC": "-" if s.pr_auc is None else f"{s.pr_auc:.4f}",
            "note": s.note,
        }
        for s in (*published.SCORES, *published.PREDECESSOR)
    ]
    frame = pd.DataFrame(rows, [s.model for s in (*published.SCORES, *published.PREDECESSOR)])
    return (
        "\n## Beside the literature\n\nNone of the scores above compares with these: they are of other data. Among "
        "themselves they compare only within a split, and the predecessor's with nothing. How to rerun the "
        "published ones: "
        f"[reproduce.md](reproduce.md).\n\n{comparison.markdown(frame, 'model')}\n"
    )


def _draw(name: str, groups: Sequence[Group], folder: Path) -> list[Path]:
    """The ranking of a study, its cost picture where there are many networks, and its tags."""
    written = []
    ax = plots.score_ranking(**comparison.ranking(groups), title=f"Study {name!r}: {groups[0].first['part']} part")
    written.append(_save(ax, folder / f"results_{name}.png"))
    if name == "zoo":
        plain = [g for g in groups if g.first["family"] not in ("windowing", "losses")]
        frame = comparison.table(plain)
        ax = plots.score_against_cost(
            list(frame.index),
            [s.value for s in frame["roc_auc"]],
            frame["macs_per_second"] / 1e6,
            kinds=list(frame["input"]),
        )
        written.append(_save(ax, folder / f"results_{name}_cost.png"))
    return written


def _save(ax: plt.Axes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(path, dpi=110)
    plt.close(ax.figure)
    return path


_SECTIONS: dict[str, Callable[[Sequence[Group]], str]] = {
    "zoo": _zoo,
    "recordings": _recordings,
    "pretraining": _pretraining,
}
