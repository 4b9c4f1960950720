"""What can be measured, in the order of a run: each topic is a module with a `run(setting)`."""

import importlib
from types import ModuleType

from benchmarks.pairs import Result
from benchmarks.setting import Setting

TOPICS = ("startup", "prepare", "step", "inputs", "tag", "analysis", "live", "growth", "gpu")


def module(name: str) -> ModuleType:
    """The module of a topic, imported only now: what it needs may not be installed for another."""
    return importlib.import_module(f"benchmarks.{name}")


def measure(name: str, setting: Setting) -> Result:
    """Measure one topic."""
    return module(name).run(setting)


def title(name: str) -> str:
    """The first line of the topic's module."""
    return module(name).__doc__.splitlines()[0]
