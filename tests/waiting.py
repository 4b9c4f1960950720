"""Waiting for what another process does."""

import time


def until(condition, message, seconds=20, every_s=0.05):
    """What `condition` gives as soon as it gives something; fails with `message` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, message
        time.sleep(every_s)
    return found
