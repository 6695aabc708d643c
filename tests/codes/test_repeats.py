"""What a column says, once: as Arrow and numpy would tell it, whichever way was taken."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from streams.codes.repeats import distinct_codes, distinct_texts

texts = st.one_of(
    st.lists(st.sampled_from(["de", "fr", ""]), max_size=9), st.lists(st.just("de"), max_size=9)
)


@given(texts, st.integers(0, 3))
def test_distinct_texts_equal_a_dictionary_of_arrow_for_slices_too(said: list[str], start: int) -> None:
    column = pa.array(said, pa.string()).slice(min(start, len(said)))
    which, found = distinct_texts(column)
    expected = column.dictionary_encode()
    assert found == expected.dictionary.to_pylist()
    assert which.tolist() == expected.indices.to_pylist()


@given(st.lists(st.integers(0, 11), max_size=24), st.integers(12, 30))
def test_distinct_codes_equal_those_of_numpy_sorted_or_not(codes: list[int], below: int) -> None:
    array = np.array(codes, np.int64)
    expected = np.unique(array, return_index=True, return_inverse=True)
    for got, wanted in zip(distinct_codes(array, below), expected, strict=True):
        assert got.tolist() == wanted.tolist()
