"""What is checked, in the order of the page: each topic is a module with a `run(quick)`."""

import importlib
from types import ModuleType

TOPICS = (
    "scores",
    "coverage",
    "single_tags",
    "few_clusters",
    "differences",
    "loudest",
    "tone_grid",
    "masks",
    "linear_filters",
    "channel_tags",
    "trust",
)


def module(name: str) -> ModuleType:
    """The module of a topic, imported only now: what it needs may not be installed for another."""
    return importlib.import_module(f"validation.{name}")
