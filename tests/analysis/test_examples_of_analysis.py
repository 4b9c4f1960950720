"""The examples in docstrings do what they say."""

import doctest

import pytest

from tagkit.analysis import feature_maps, sonify, spectra


@pytest.mark.parametrize("module", [feature_maps, sonify, spectra], ids=lambda module: module.__name__)
def test_examples_run(module):
    failed, run = doctest.testmod(module)
    assert run >= 3 and not failed
