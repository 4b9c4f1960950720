"""Dealing pieces, instruments, tempos and dynamics to clips, so that every tag is frequent enough in every part."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from tagkit.data.demo.arrange import INSTRUMENTS, Plan
from tagkit.data.demo.pieces import DEAL, split
from tagkit.data.demo.scores import Score

_Card = TypeVar("_Card")

SIZES = (1, 2, 2, 3, 1, 2, 3, 3)  # instruments in a clip
DRUMS = (True, False, False)  # for clips of two or three instruments
SOLOISTS = tuple(name for name, player in INSTRUMENTS.items() if not player.ensemble)


class Deck:
    """Cards in random order, shuffled again when all are dealt: every card comes up equally often."""

    def __init__(self, cards: Sequence[_Card], rng: np.random.Generator):
        self.cards, self.rng = list(cards), rng
        self.left: list[_Card] = []

    def deal(self, allowed: Sequence[_Card] | None = None) -> _Card:
        """The next card (among those allowed); the others stay in the deck."""
        fitting = [card for card in self.left if allowed is None or card in allowed]
        if not fitting:
            self.left = self.left + [self.cards[i] for i in self.rng.permutation(len(self.cards))]
            fitting = [card for card in self.left if allowed is None or card in allowed]
        self.left.remove(fitting[0])
        return fitting[0]


def plans(pool: Sequence[Score], piece: np.ndarray, seed: int) -> Iterator[tuple[str, Plan]]:
    """Endless (part, plan) pairs; the first ones do not depend on how many are taken.

    Of each 20 clips, 13 are train, 2 valid and 5 test, each with a score of that part of `pieces.split`.
    """
    parts = split(pool, piece)
    dealers = {
        part: _dealer([i for i in range(len(pool)) if parts[int(piece[i])] == part], pool, piece, seed, number)
        for number, part in enumerate(("train", "valid", "test"))
    }
    number = 0
    while True:
        part = DEAL[number % len(DEAL)]
        yield part, next(dealers[part])
        number += 1


def _dealer(members: list[int], pool: Sequence[Score], piece: np.ndarray, seed: int, part: int) -> Iterator[Plan]:
    """Endless plans for the scores of one part."""
    rng = np.random.default_rng([seed, part])
    score = _score_dealer(members, pool, piece, rng)
    sizes, players, drums = Deck(SIZES, rng), Deck(tuple(INSTRUMENTS), rng), Deck(DRUMS, rng)
    tempos, dynamics = Deck(("slow", "", "fast"), rng), Deck(("quiet", "", "loud"), rng)
    number = 0
    while True:
        size = sizes.deal()
        names = [players.deal(SOLOISTS if size == 1 else None)]
        while len(names) < size:
            names.append(players.deal([name for name in INSTRUMENTS if name not in names]))
        yield Plan(
            seed=(seed, part, number),
            score=next(score),
            instruments=tuple(names),
            drums=size > 1 and drums.deal(),
            tempo=tempos.deal(),
            dynamics=dynamics.deal(),
        )
        number += 1


def _score_dealer(
    members: list[int], pool: Sequence[Score], piece: np.ndarray, rng: np.random.Generator
) -> Iterator[int]:
    """Endless scores: composers in turn (those with more pieces more often), then pieces in turn, then any score."""
    by_composer: dict[str, dict[int, list[int]]] = {}
    for i in members:
        by_composer.setdefault(pool[i].composer, {}).setdefault(int(piece[i]), []).append(i)
    turns = [name for name, owned in by_composer.items() for _ in range(int(np.ceil(len(owned) ** 0.75)))]
    composers = Deck(turns, rng)
    decks = {name: Deck(sorted(owned), rng) for name, owned in by_composer.items()}
    while True:
        name = composers.deal()
        yield int(rng.choice(by_composer[name][decks[name].deal()]))
