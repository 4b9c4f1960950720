"""A small number of the mutations; more with ``python -m tests.data.fuzz``."""

from tests.data import fuzz, fuzz_streams


def test_mutated_audio_is_read_or_refused():
    outcomes = fuzz.fuzz_audio(60, seed=1)
    assert outcomes.total() == 60
    assert {outcome for _, outcome in outcomes} == {"accepted", "refused"}


def test_streams_of_unknown_length_are_read_to_the_end_or_refused():
    outcomes = fuzz_streams.fuzz_streams(40, seed=1)
    assert outcomes.total() == 40
    assert {outcome for _, outcome in outcomes} >= {"accepted", "refused"}


def test_arrays_of_all_types_are_read_as_files_are_or_refused():
    outcomes = fuzz_streams.fuzz_arrays(300, seed=1)
    assert {kind for kind, outcome in outcomes if outcome == "accepted"} >= {"<i2", ">i2", "<f4", ">f8", "<f2"}
    assert not {kind for kind, outcome in outcomes if outcome == "accepted"} & {"<i4", "u1", "?", "<c8", "U4"}


def test_mutated_tables_are_read_or_refused():
    outcomes = fuzz.fuzz_tables(150, seed=1)
    assert outcomes.total() == 150
    assert {outcome for _, outcome in outcomes} == {"accepted", "refused"}
