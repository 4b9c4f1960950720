"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real recordings (mini-mtat/, mtat-metadata/), named by TAGKIT_REAL_DATA."""
    folder = os.environ.get("TAGKIT_REAL_DATA")
    if not folder:
        pytest.skip("TAGKIT_REAL_DATA names no folder with real recordings: this test did not run")
    return Path(folder).resolve()
