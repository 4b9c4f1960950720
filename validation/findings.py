"""What a check finds: two numbers that should agree, or a rate that should lie within bounds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """A quantity that tagkit and an independent source both computed.

    Attributes
    ----------
    name : str
        The quantity, and of what.
    tool, independent : float
    source : str
        Where the independent number comes from, such as "sklearn" or "brute force".
    tolerance : float
        The largest difference that counts as agreement, in the quantity's unit.
    """

    name: str
    tool: float
    independent: float
    source: str
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the two agree."""
        return bool(abs(self.tool - self.independent) <= self.tolerance)

    holds_roughly = holds


@dataclass(frozen=True)
class Rate:
    """How often something happened in independent trials, with the bounds that it should keep.

    Attributes
    ----------
    name : str
        What was counted, and under which conditions.
    hits, trials : int
    low, high : float
        Bounds that the true rate should keep.
    width : float
        Mean width of the intervals whose coverage was counted; None where there is none.
    unknown : float
        Share of all trials in which tagkit declined to answer; they are not among `trials`.
    """

    name: str
    hits: int
    trials: int
    low: float
    high: float
    width: float | None = None
    unknown: float = 0.0

    @property
    def value(self) -> float:
        """The measured rate, NaN where tagkit never answered."""
        return self.hits / self.trials if self.trials else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the true rate."""
        return wilson(self.hits, self.trials)

    @property
    def holds(self) -> bool:
        """Whether the true rate may lie within the bounds, as far as these trials can tell."""
        return self._may_keep(self.interval)

    @property
    def holds_roughly(self) -> bool:
        """The same with an interval of 99.9 %: what a few trials still tell without raising a false alarm."""
        return self._may_keep(wilson(self.hits, self.trials, z=3.290527))

    def _may_keep(self, interval: tuple[float, float]) -> bool:
        return interval[0] <= self.high and interval[1] >= self.low


Finding = Agreement | Rate
KINDS = {kind.__name__: kind for kind in (Agreement, Rate)}


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a rate (J. Amer. Statist. Assoc. 22, 1927); (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    rate, weight = hits / trials, z**2 / trials
    centre = (rate + weight / 2) / (1 + weight)
    reach = z * np.sqrt(rate * (1 - rate) / trials + weight / (4 * trials)) / (1 + weight)
    return float(centre - reach), float(centre + reach)


def to_json(findings: Sequence[Finding]) -> list[dict]:
    """Findings as JSON types."""
    return [{"kind": type(f).__name__} | asdict(f) for f in findings]


def from_json(records: Sequence[dict]) -> list[Finding]:
    """What `to_json` wrote."""
    return [KINDS[r["kind"]](**{key: value for key, value in r.items() if key != "kind"}) for r in records]
