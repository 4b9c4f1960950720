"""`python -m validation [TOPIC ...]`: check tagkit's numbers against independent ones, write docs/validation.md.

Exit codes: 0 everything holds, 1 something fails, 2 wrong use.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tagkit.system import paths
from validation import report, topics


def main(arguments: list[str] | None = None) -> int:
    """Check the topics named, or all of them."""
    parser = argparse.ArgumentParser("python -m validation", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(topics.TOPICS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; writes nothing")
    parser.add_argument("--folder", type=Path, default=paths.home() / "docs", help="of the page and its records")
    parser.add_argument("--report", action="store_true", help="only write the page anew from the records")
    args = parser.parse_args(arguments)
    if unknown := set(args.topics) - set(topics.TOPICS):
        parser.error(f"there is no topic {', '.join(sorted(unknown))}; take {', '.join(topics.TOPICS)}.")
    held = True
    for name in [] if args.report else args.topics or topics.TOPICS:
        print(f"\n{name}: {topics.module(name).__doc__.splitlines()[0]}", flush=True)
        found = topics.module(name).run(args.quick)
        for finding in found:
            print(report.line(finding), flush=True)
        held &= all(finding.holds_roughly if args.quick else finding.holds for finding in found)
        if not args.quick:
            report.write_record(args.folder / "validation", name, found)
    if not args.quick:
        print(f"\n{report.write(args.folder / 'validation', args.folder / 'validation.md')} is written.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
