"""How much is measured, and where."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """Sizes of a run.

    Attributes
    ----------
    folder : Path
        For music, records and runs; what is there is used again.
    rounds : int
        Pairs of turns.
    small : bool
        Seconds instead of minutes: to see that everything works. Bars may fall.
    """

    folder: Path
    rounds: int = 5
    small: bool = False

    def size(self, full: int, small: int) -> int:
        """The one or the other."""
        return small if self.small else full
