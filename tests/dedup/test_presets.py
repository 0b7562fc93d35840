"""The published numbers, and what each preset holds for the same."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dedup.presets import PRESETS, datasketch_preset, preset_of
from dedup.shingles import Shingling, jaccard, shingle_hashes, shingle_strings
from dedup.signatures import band_keys, choose_bands, s_curve, scheme_of, signatures
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "bands", "rows", "unit", "n", "num_perm", "threshold"),
    [
        ("fineweb", 14, 8, "words", 5, 112, 0.72),  # datatrove says ~0.72
        ("refinedweb", 450, 20, "words", 5, 9000, 0.74),
        ("dclm", 93, 15, "words", 5, 1395, 0.74),
        ("nemo", 20, 13, "characters", 24, 260, 0.79),
        ("datasketch", 5, 25, "words", 5, 128, 0.94),
    ],
)
def test_published(name: str, bands: int, rows: int, unit: str, n: int, num_perm: int, threshold: float) -> None:
    preset = preset_of(name)
    assert (preset.name, preset.bands, preset.rows, preset.num_perm) == (name, bands, rows, num_perm)
    assert (preset.shingling.unit, preset.shingling.n) == (unit, n)
    assert round(preset.threshold, 2) == threshold
    assert preset.source.startswith("https://") and preset.note.endswith(".")
    assert scheme_of(preset.scheme).permutations == "affine32"


def test_fineweb_recall() -> None:
    """datatrove's comment: 0.924 at similarity 0.8."""
    assert s_curve(0.8, PRESETS["fineweb"].bands, PRESETS["fineweb"].rows) == pytest.approx(0.924, abs=5e-4)


LONG = "The old lighthouse keeper wrote every evening what the sea had brought him. " * 3
SAME = {
    "fineweb": ("It cost $1,299 at Café Zoë, in 2019!", "it cost 7 at cafe zoe   in 3"),
    "refinedweb": ("At the Café Zoë, in 2019!", "at the cafe zoe\tin 2019"),
    "dclm": ("At the Café Zoë, in 2019!", "at the café zoë in 2019"),
    "nemo": (LONG, LONG),
    "datasketch": ("At the Café\nZoë, in 2019!", "At the Café Zoë, in 2019!"),
}
OTHER = {
    "fineweb": "it cost 7 at cafe zoe in",
    "refinedweb": "at the cafe zoe in 2020",
    "dclm": "at the cafe zoë in 2019",
    "nemo": LONG.lower(),
    "datasketch": "at the Café Zoë, in 2019!",
}


@pytest.mark.parametrize("name", list(PRESETS))
def test_what_counts_as_the_same(name: str) -> None:
    preset = PRESETS[name]
    texts = pa.array([*SAME[name], OTHER[name]], pa.large_string())
    hashes, offsets = shingle_hashes(texts, preset.shingling)
    a, b, c = (hashes[offsets[i] : offsets[i + 1]] for i in range(3))
    assert jaccard(a, b) == 1 and jaccard(a, c) < 1
    made = signatures(texts, preset.shingling, preset.scheme, preset.num_perm, preset.seed)
    keys = band_keys(made, preset.bands, preset.rows)
    assert (keys[0] == keys[1]).all() and not (keys[0] == keys[2]).all()


def test_nemo_counts_characters() -> None:
    assert [len(one) for one in shingle_strings(pa.array(["é文" * 13]), PRESETS["nemo"].shingling)[0]] == [24] * 3


def test_datasketch_preset() -> None:
    """The one in the list has datasketch's own defaults; others follow a threshold."""
    default = datasketch_preset()
    listed = PRESETS["datasketch"]
    assert (default.bands, default.rows, default.num_perm) == (listed.bands, listed.rows, listed.num_perm)
    s = Shingling(n=3)
    other = datasketch_preset(0.5, 64, s)
    assert (other.bands, other.rows) == choose_bands(0.5, 64) and other.num_perm == 64 and other.shingling == s


def test_unknown() -> None:
    with pytest.raises(ConfigError, match="fineweb"):
        preset_of("finewbe")
