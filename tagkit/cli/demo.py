"""The command that shows everything: demo."""

import argparse

from tagkit.cli.command import Command
from tagkit.system import paths
from tagkit.training.config import DEMO_RUNS


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    """`tagkit demo` takes none: TAGKIT_HOME says where things go, TAGKIT_SMOKE=1 makes them tiny."""


def demo(args: argparse.Namespace) -> None:
    """Render a tagged dataset, train two networks on it, score them, and hear what they learned.

    Everything that is there already is kept: rerun the command to resume it; once done, it ends at once.
    """
    from tagkit import workspace
    from tagkit.analysis import figures, report
    from tagkit.cli.data import describe
    from tagkit.evaluation import evaluate
    from tagkit.listening import page
    from tagkit.listening.live import page as live

    out = paths.runs_dir() / "demo"
    records = workspace.records("demo")
    print(describe(records))
    runs = {model: workspace.run(model, records) for model in DEMO_RUNS}
    results = workspace.results(runs, out / "metrics.json")
    if not workspace.is_newer(out / "live.html", out / "metrics.json"):
        figures.draw_training(results, out / "figures")
        figures.draw_scores(results, out / "figures")
        portraits = {name: workspace.portrait(run) for name, run in runs.items() if run.row.reads_waveform}
        report.write_filters(list(portraits.values()), out / "figures")
        page.of_runs(out / "listen.html", runs, portraits, records)
        live.of_runs(out / "live.html", {name: runs[name] for name in portraits}, portraits, records)

    print("\n" + results["dm16"].tag_table() + "\n")
    print(evaluate.table(results))
    print(f"""
Hear it   open {out / "listen.html"} in a browser; it needs no network
Your song open {out / "live.html"} and drop a song on it: the network runs in the page
Figures   {out / "figures"}
Scores    {out / "metrics.json"}
Next      .venv/bin/jupyter lab notebooks     (13_hear_feature_maps is a good one to start with)
          .venv/bin/tagkit models             (every network that can be trained in place of dm16)""")


COMMANDS = (Command("demo", _demo_arguments, demo, needs_tensorflow=True),)
