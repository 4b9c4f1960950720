"""The scores behind the demo dataset: MusicXML files of music21's corpus as tables of notes.

music21 itself takes about half a second for a chorale. The few facts needed here (who plays which pitch when) are read
straight from the MusicXML in some ten milliseconds; a test holds the two readings against each other.
"""

import importlib.util
import re
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tagkit.data.catalog import CatalogError
from tagkit.system import extras

# Folders of the corpus, and who wrote what is in them ("": see `TRECENTO`). Left out: palestrina (rights reserved),
# essenFolksong (non-commercial), and the tune collections in ABC notation, whose lines are too short.
COMPOSERS = {
    "bach": "Johann Sebastian Bach",
    "beach": "Amy Beach",
    "beethoven": "Ludwig van Beethoven",
    "corelli": "Arcangelo Corelli",
    "cpebach": "Carl Philipp Emanuel Bach",
    "handel": "George Frideric Handel",
    "haydn": "Joseph Haydn",
    "johnson_j_r": "J. Rosamond Johnson",
    "joplin": "Scott Joplin",
    "liliuokalani": "Liliuokalani",
    "lusitano": "Vicente Lusitano",
    "monteverdi": "Claudio Monteverdi",
    "mozart": "Wolfgang Amadeus Mozart",
    "schubert": "Franz Schubert",
    "schumann_clara": "Clara Schumann",
    "schumann_robert": "Robert Schumann",
    "trecento": "",
    "verdi": "Giuseppe Verdi",
    "weber": "Carl Maria von Weber",
}
# The Italian 14th century: what a file's composer or name may say.
TRECENTO = {
    "Ciconia": "Johannes Ciconia",
    "Gherardello": "Gherardello da Firenze",
    "Giovanni": "Giovanni da Cascia",
    "Graneti": "Johannes Graneti",
    "Jacopo": "Jacopo da Bologna",
    "Landini": "Francesco Landini",
    "Lorenzo": "Lorenzo da Firenze",
    "Perrinet": "Perrinet",
    "Piero": "Maestro Piero",
    "Vitry": "Philippe de Vitry",
}
MAX_BYTES = 1_500_000  # longer files cost more time to parse than the clips that they would add are worth
MIN_QUARTERS = 16

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_RIGHTS = re.compile(r"<rights[^>]*>(.*?)</rights>", re.DOTALL)
_FREE = re.compile(r"\bCC\b|CC-|CC0|creative commons|public domain", re.IGNORECASE)


@dataclass(frozen=True)
class Score:
    """One file of the corpus.

    Attributes
    ----------
    name : str
        Its path in the corpus, for example ``"bach/bwv66.6.mxl"``.
    composer : str
    notes : ndarray (notes, 4) of float32
        Part number, onset and duration in quarter notes, MIDI pitch; sorted by part, then onset, then pitch downwards.
        Tied notes are one note; grace and cue notes are left out; transposing instruments are at sounding pitch.
    """

    name: str
    composer: str
    notes: np.ndarray

    @property
    def quarters(self) -> float:
        """Length of the score in quarter notes, rounded up to a whole one."""
        return float(np.ceil((self.notes[:, 1] + self.notes[:, 2]).max() - 1e-3))


def corpus_folder() -> Path:
    """The folder of music21's corpus, found without importing music21 (which takes seconds).

    Raises
    ------
    CatalogError
        It is not installed.
    """
    spec = importlib.util.find_spec("music21")
    folder = Path(spec.origin).parent / "corpus" if spec else None
    if folder is None or not (folder / "bach").is_dir():
        raise CatalogError(f"The demo needs the scores of music21's corpus; {extras.install('demo')}.")
    return folder


def names() -> list[str]:
    """Paths in the corpus of all MusicXML files of `COMPOSERS`, sorted."""
    folder = corpus_folder()
    found = (path for composer in COMPOSERS for path in (folder / composer).rglob("*"))
    return sorted(p.relative_to(folder).as_posix() for p in found if p.suffix in (".mxl", ".xml", ".musicxml"))


def read(name: str) -> Score | None:
    """Read one score of the corpus; None for one that is not used.

    Not used are files over `MAX_BYTES`, files that state rights without a free licence, and pieces shorter than
    `MIN_QUARTERS`.
    """
    content = _unpack(corpus_folder() / name)
    if len(content) > MAX_BYTES or not _free(content):
        return None
    root = ET.fromstring(content)
    notes = parse(root)
    if not len(notes) or (notes[:, 1] + notes[:, 2]).max() < MIN_QUARTERS:
        return None
    return Score(name, _composer(name, root), notes)


def parse(root: ET.Element) -> np.ndarray:
    """Notes (notes, 4) of a partwise MusicXML score; columns as in `Score.notes`."""
    rows = [row for number, part in enumerate(root.findall("part")) for row in _read_part(number, part)]
    notes = np.array(rows, dtype=np.float32).reshape(-1, 4)
    return notes[np.lexsort((-notes[:, 3], notes[:, 1], notes[:, 0]))]


def line(notes: np.ndarray, lowest: bool = False) -> np.ndarray:
    """The top (or lowest) note at each onset of the notes of one part: a melody (notes, 4)."""
    pitch = notes[:, 3] if lowest else -notes[:, 3]
    notes = notes[np.lexsort((pitch, notes[:, 1]))]
    return notes[np.diff(notes[:, 1], prepend=-np.inf) > 1e-3]


def parts(notes: np.ndarray) -> list[np.ndarray]:
    """The notes of each part."""
    return [notes[notes[:, 0] == number] for number in np.unique(notes[:, 0])]


def _unpack(path: Path) -> bytes:
    if path.suffix != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if name.endswith("xml") and not name.startswith("META-INF")]
        return archive.read(inside[0])


def _free(content: bytes) -> bool:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    stated = _RIGHTS.findall(content[:40_000].decode(encoding, errors="replace"))
    return all(not rights.strip() or _FREE.search(rights) for rights in stated)


def _composer(name: str, root: ET.Element) -> str:
    known = COMPOSERS[name.split("/")[0]]
    if known:
        return known
    stated = name + (root.findtext("identification/creator[@type='composer']") or "")
    return next((full for part, full in TRECENTO.items() if part in stated), "Anonymous")


def _read_part(number: int, part: ET.Element) -> list[list[float]]:
    rows: list[list[float]] = []
    tied: dict[int, int] = {}  # pitch -> row of a note that goes on
    start = divisions = 0.0
    shift = 0
    for measure in part.findall("measure"):
        now = end = chord_onset = start
        for element in measure:
            if element.tag == "attributes":
                divisions = float(element.findtext("divisions") or divisions)
                shift = _transposition(element, shift)
            elif element.tag == "backup":
                now -= float(element.findtext("duration")) / divisions
            elif element.tag == "forward":
                now += float(element.findtext("duration")) / divisions
            elif element.tag == "note" and element.find("duration") is not None:  # a grace note has none
                duration = float(element.findtext("duration")) / divisions
                if element.find("chord") is None:
                    chord_onset, now = now, now + duration
                if element.find("pitch") is not None and element.find("cue") is None:
                    _add(rows, tied, element, [number, chord_onset, duration, _pitch(element) + shift])
            end = max(end, now)
        start = end
    return rows


def _add(rows: list[list[float]], tied: dict[int, int], element: ET.Element, row: list[float]) -> None:
    """Append a note, or lengthen the one that it is tied to.

    Some files mark only the beginnings of ties: the next note goes on with a tie when it starts where the first ends.
    """
    pitch = int(row[3])
    open_row = tied.pop(pitch, None)
    if open_row is not None and abs(rows[open_row][1] + rows[open_row][2] - row[1]) < 0.01:
        rows[open_row][2] += row[2]
    else:
        open_row = len(rows)
        rows.append(row)
    if any(tie.get("type") == "start" for tie in element.findall("tie")):
        tied[pitch] = open_row


def _pitch(element: ET.Element) -> int:
    pitch = element.find("pitch")
    alter = round(float(pitch.findtext("alter") or 0))
    return 12 * (int(pitch.findtext("octave")) + 1) + _STEPS[pitch.findtext("step")] + alter


def _transposition(attributes: ET.Element, shift: int) -> int:
    transpose = attributes.find("transpose")
    if transpose is None:
        return shift
    return int(transpose.findtext("chromatic") or 0) + 12 * int(transpose.findtext("octave-change") or 0)
