"""docs/benchmarks.md and its picture, from the records of the topics alone."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.data import CLIP_S, POOL
from benchmarks.pairs import Reading, Result
from benchmarks.setting import Setting
from benchmarks.topics import TOPICS
from tagkit import plots
from tagkit.system import files

LEAST, MOST = 0.1, 20.0  # ends of the drawing's axis, multiples of a bar
PACKAGES = ("tensorflow", "keras", "torch", "numpy", "soundfile", "soxr", "librosa", "pydub")


def load() -> float:
    """Processes that wait or run, on average over the last minute; ask before a topic is measured: it is load too."""
    return os.getloadavg()[0]


def machine() -> dict[str, str]:
    """What the figures depend on: processor, cores, memory, system, and the versions of what is measured."""
    cpu = [s.split(":")[1].strip() for s in _lines("/proc/cpuinfo") if s.startswith("model name")]
    memory = [int(s.split()[1]) / 2**20 for s in _lines("/proc/meminfo") if s.startswith("MemTotal")]
    found = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    return {
        "processor": f"{cpu[0] if cpu else platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{memory[0]:.0f} GiB" if memory else "unknown",
        "system": _without_build(f"{platform.system()} {platform.release()}"),
        "python": platform.python_version(),
    } | {name: found[name] for name in PACKAGES if name in found}


def _without_build(system: str) -> str:
    """A system's name and the first two numbers of its version: the rest is its builder's affair."""
    return re.sub(r"(\d+\.\d+)\S*$", r"\1", system)


def _lines(path: str) -> list[str]:
    """Lines of a file that only Linux has."""
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_record(folder: Path, name: str, title: str, setting: Setting, result: Result, load: float) -> Path:
    """Keep what a topic found on this machine, as JSON; `load` is that of the machine before it was measured.

    Each kind of processor has a folder of its own: what holds on one need not on another.
    """
    here = machine()
    record = {
        "topic": name,
        "title": title,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"make bench ONLY={name}",
        "rounds": setting.rounds,
        "small": setting.small,
        "commit": _commit(),
        "load": round(load, 1),
        "machine": here,
        "readings": [reading.to_dict() for reading in result.readings],
        "notes": result.notes,
        "profiles": result.profiles,
    }
    path = folder / re.sub(r"[^a-z0-9]+", "-", here["processor"].lower()).strip("-") / f"{name}.json"
    files.write_json(path, record)
    return path


def write(records: Path, home: Path) -> Path:
    """Write docs/benchmarks.md and figures/benchmarks.png below `home` from all records that there are."""
    found = [files.read_json(path) for t in TOPICS for path in sorted(records.glob(f"*/{t}.json"))]
    if any(reading["bar"] for record in found for reading in record["readings"]):
        figure = draw(_by_processor(found))
        plots.save_figure(figure, home / "figures" / "benchmarks.png")
        plt.close(figure)
    page = home / "docs" / "benchmarks.md"
    with files.atomic(page) as temporary:
        temporary.write_text(markdown(found), encoding="utf-8")
    return page


def _by_processor(records: list[dict]) -> dict[str, list[Reading]]:
    """All figures of each processor, in the order of the topics."""
    found: dict[str, list[Reading]] = {}
    for record in records:
        found.setdefault(record["machine"]["processor"], []).extend(map(Reading.from_dict, record["readings"]))
    return found


def markdown(records: list[dict]) -> str:
    """The page."""
    barred = {p: [r for r in some if r.bar is not None] for p, some in _by_processor(records).items()}
    held = [f"{processor}: {sum(r.holds for r in some)} of {len(some)}" for processor, some in barred.items()]
    lines = [
        "# Benchmarks",
        "",
        "`make bench` writes this page from the records in [benchmarks/](benchmarks); do not edit it. Contestants take",
        "turns, each in its own process, on a machine that others may be using too. A figure is the median over the",
        "turns, with the smallest and the largest; if that range spans the bar, the verdict means little. A bar is a",
        "target that this project set itself. `make bench ONLY=prepare` measures one topic. Each kind of processor has",
        "its own records, since processors differ in more than speed.",
        "",
        "The music is synthetic: chords in noise. Unless a topic says otherwise, it has MagnaTagATune's format",
        f"and layout: MP3 files of {CLIP_S} s, 16 kHz, one channel. A pool of {POOL} files is linked under as many",
        "names as a topic needs clips, so it comes from the page cache: no figure includes the time of a disk.",
        "",
        f"**Bars that hold. {'; '.join(held)}.**",
        "",
        "![Every figure with a bar above 0, in multiples of it](../figures/benchmarks.png)",
        "",
    ]
    for topic in dict.fromkeys(record["topic"] for record in records):
        some = [record for record in records if record["topic"] == topic]
        lines += [f"## {some[-1]['title'].rstrip('.')}", ""]
        lines += [line for record in some for line in _section(record)]
    return "\n".join(lines)


def _section(record: dict) -> list[str]:
    lines = [f"**{record['machine']['processor']}**", ""]
    lines += ["| | median (range) | bar | |", "|---|---|---|---|"] if record["readings"] else []
    for reading in map(Reading.from_dict, record["readings"]):
        lines.append(f"| {reading.name} | {value(reading)} | {bar(reading)} | {reading.verdict} |")
    lines += ["", *(line for note in record["notes"] for line in (note, ""))]
    for name, text in record["profiles"].items():
        lines += [f"{name}:", "", "```", text, "```", ""]
    where = ", ".join(f"{key} {text}" for key, text in _where(record).items())
    small = ", small sizes" if record["small"] else ""
    facts = f"`{record['command']}`, {record['date']}, {record['rounds']} rounds{small}; commit {record['commit']}"
    return [*lines, f"<sub>{facts}; {where}.</sub>", ""]


def _where(record: dict) -> dict[str, str]:
    """The machine of a record, with its load; records without a load of their own took it when all was measured."""
    found = record["machine"] | {"system": _without_build(record["machine"]["system"])}
    if "load" in record:
        return found | {"load": f"{record['load']:.1f} processes waiting or running when it began"}
    return {key: text.replace("when it began", "when it ended") for key, text in found.items()}


def value(reading: Reading) -> str:
    """Median, range and unit."""
    spread = f" ({number(min(reading.values))} to {number(max(reading.values))})" if len(reading.values) > 1 else ""
    return f"{number(reading.median)}{spread} {reading.unit}".strip()


def bar(reading: Reading) -> str:
    """The bar as text."""
    if reading.bar is None:
        return ""
    return f"{'at least' if reading.at_least else 'at most'} {number(reading.bar)}"


def number(x: float) -> str:
    """Three digits that count, no exponent."""
    return f"{x:,.0f}" if abs(x) >= 100 or x == 0 else f"{x:.3g}"


def multiple(x: float, reading: Reading) -> float:
    """How many times a figure has reached its bar; infinite where it is 0 or less and at most the bar was allowed."""
    if reading.at_least:
        return x / reading.bar
    return reading.bar / x if x > 0 else float("inf")


def draw(readings: dict[str, list[Reading]]) -> plt.Figure:
    """Every figure with a bar above 0, in multiples of it, processor by processor: what lies right of the line holds.

    The axis has ends, and what lies beyond one is an arrow there. A figure of 0 or less is no multiple: it says so.
    """
    shown = {processor: {r.name: r for r in some if r.bar} for processor, some in readings.items()}
    shown = {processor: some for processor, some in shown.items() if some}
    rows = {name: reading for some in shown.values() for name, reading in some.items()}
    plots.use_style()
    size = (4.5 + 4.5 * len(shown), 1.3 + 0.32 * len(rows))
    figure, axes = plt.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, (processor, some) in zip(axes[0], shown.items(), strict=True):
        _draw_processor(ax, processor, [some.get(name) for name in reversed(rows)])
    names = [f"{r.name}, {bar(r)} {r.unit}".rstrip() for r in reversed(rows.values())]
    axes[0, 0].set_yticks(range(len(rows)), names)
    return figure


def _draw_processor(ax: plt.Axes, processor: str, readings: list[Reading | None]) -> None:
    for y, reading in enumerate(readings):
        if reading is None:
            continue
        times = [min(max(multiple(v, reading), LEAST), MOST) for v in reading.values]
        middle = multiple(reading.median, reading)
        colour = "tab:blue" if reading.holds else "tab:red"
        ax.plot([min(times), max(times)], [y, y], color=colour, alpha=0.4, linewidth=6, solid_capstyle="butt")
        marker = ">" if middle > MOST else "<" if middle < LEAST else "o"
        ax.plot(min(max(middle, LEAST), MOST), y, marker, color=colour)
        if reading.median <= 0:
            words = f"{number(reading.median)} {reading.unit}"
            ax.annotate(words, (MOST, y), (8, 0), textcoords="offset points", va="center", fontsize=9)
    ax.axvline(1, color="black", linewidth=1)
    ax.set(xscale="log", xlim=(LEAST / 1.2, MOST * 1.2), xlabel="multiples of the bar (median and range)")
    ax.set_title(processor)
    ticks = {0.1: "⅒ or\nless", 0.2: "⅕", 0.5: "½", 1: "1", 2: "2", 5: "5", 10: "10", 20: "20 or\nmore"}
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.minorticks_off()
