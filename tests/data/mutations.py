"""What the mutations of files and tables share: how bytes are changed, and what must never come of it."""

import signal
from contextlib import contextmanager

from tagkit import audio

SR = 16_000
LONGEST_S = 20


class FoundError(AssertionError):
    """Something that must not happen."""


class OutOfTimeError(FoundError):
    """Something hangs."""


@contextmanager
def time_limit(what):
    def stop(*_args):
        raise OutOfTimeError(f"{what} takes more than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def flip(data, rng, start=0):
    changed = bytearray(data)
    for at in rng.integers(start, len(data), size=rng.integers(1, 20)):
        changed[at] ^= int(rng.integers(1, 256))
    return bytes(changed)


def blank(data, rng):
    start, size = int(rng.integers(len(data))), int(rng.integers(1, len(data)))
    return data[:start] + bytes(len(data[start : start + size])) + data[start + size :]


def swap(data, rng):
    a, b, c = sorted(rng.integers(len(data), size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def junk(rng):
    kind = rng.integers(4)
    size = int(rng.integers(1, 60_000))
    text = "".join(rng.choice(list("abc def,;\n<>#"), size=size))
    return (rng.bytes(size), text.encode(), bytes(size), b"\xff\xfb" + rng.bytes(size))[kind]


def mutate_audio(kind, data, rng):
    if kind == "flip":
        return flip(data, rng)
    if kind == "flip head":
        return flip(data[:200], rng) + data[200:]
    if kind == "cut":
        return data[: int(rng.integers(len(data)))]
    if kind == "append":
        return data + rng.bytes(int(rng.integers(1, 3000)))
    if kind == "junk":
        return junk(rng)
    return {"blank": blank, "swap": swap}.get(kind, lambda data, rng: data)(data, rng)


def load_in_time(path, what):
    """A machine that stands still for a while is no hang: what takes too long gets a second chance."""
    try:
        with time_limit(what):
            return audio.read(path, SR)
    except OutOfTimeError:
        with time_limit(what):
            return audio.read(path, SR)
