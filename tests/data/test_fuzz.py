"""A small number of the mutations; more with ``python -m tests.data.fuzz``."""

import fuzz


def test_mutated_audio_is_read_or_refused():
    outcomes = fuzz.fuzz_audio(60, seed=1)
    assert outcomes.total() == 60
    assert {outcome for _, outcome in outcomes} == {"accepted", "refused"}


def test_mutated_tables_are_read_or_refused():
    outcomes = fuzz.fuzz_tables(150, seed=1)
    assert outcomes.total() == 150
    assert {outcome for _, outcome in outcomes} == {"accepted", "refused"}
