"""What a page states of itself is found wherever it stands."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.native.page_type import _MARKS, places_of


@pytest.mark.parametrize(("word", "rare"), [(word, rare) for word, rare, _ in _MARKS])
@given(data=st.data())
def test_places_are_those_that_a_pattern_finds(word, rare, data):
    parts = [word, word[:3], word[3:], word[rare : rare + 2], word[:-1], b"x"]
    source = b"".join(data.draw(st.lists(st.sampled_from(parts), max_size=8)))
    expected = [match.start() for match in re.finditer(b"(?=" + re.escape(word) + b")", source)]
    assert places_of(word, np.frombuffer(source, np.uint8), rare).tolist() == expected
