"""MinHash settings of published pipelines, by name in PRESETS.

Shingles and bands are theirs; hash functions and permutations are ours (`native`) but in `datasketch`, so candidate
pairs agree in distribution, not pair by pair. What differs beside that is said in each preset's `note`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError

from .shingles import Shingling
from .signatures import choose_bands


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a MinHash dedup needs to know."""

    name: str
    bands: int
    rows: int
    shingling: Shingling
    source: str
    note: str
    scheme: str = "native"
    """Its name in `signatures.SCHEMES`."""
    seed: int = 1
    spare: int = 0
    """Permutations that no band uses."""

    @property
    def num_perm(self) -> int:
        """Permutations of a signature."""
        return self.bands * self.rows + self.spare

    @property
    def threshold(self) -> float:
        """About where the S-curve is steepest: (1 / bands) ** (1 / rows)."""
        return float((1 / self.bands) ** (1 / self.rows))


_DATATROVE = Shingling(
    n=5, lowercase=True, numbers_to_zero=True, strip_punctuation=True, collapse_space=True, strip_accents=True
)
_FIVE_WORDS = Shingling(n=5, splitter="whitespace", lowercase=False)
_DATASKETCH_URL = "https://github.com/ekzhu/datasketch/blob/master/datasketch/lsh.py"
_DATASKETCH_NOTE = "datasketch leaves the shingles to its caller; these are five words between white space."

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="fineweb",
            bands=14,
            rows=8,
            shingling=_DATATROVE,
            source="https://github.com/huggingface/datatrove/blob/main/src/datatrove/pipeline/dedup/minhash.py",
            note="Text as datatrove 0.10.1 normalises it, byte for byte; words by UAX #29 where it has a tokenizer for "
            "each language: of 300 English pages 77 % had the very same shingles, the mean Jaccard of both sets was "
            ".988. datatrove gives no shingle to a text of fewer than 5 words.",
        ),
        Preset(
            name="refinedweb",
            bands=450,
            rows=20,
            shingling=Shingling(n=5, strip_punctuation=True, collapse_space=True, strip_accents=True),
            source="https://arxiv.org/abs/2306.01116, appendix G.3.1",
            note="Words where RefinedWeb has GPT-2's tokens. Its text speaks of 20 buckets of 450 hashes, which would "
            "find hardly anything but copies; as FineWeb's authors do (https://arxiv.org/abs/2406.17557), these are "
            "450 buckets of 20.",
        ),
        Preset(
            name="dclm",
            bands=93,
            rows=15,
            shingling=Shingling(n=5, strip_punctuation=True, collapse_space=True),
            source="https://arxiv.org/abs/2406.11794; https://github.com/revbucket/minhash-rs/blob/main/src/minhash_base.rs",
            note="Words where its tool has the tokens of tiktoken's p50k or cl100k. The tool deletes punctuation, "
            "here it becomes spaces.",
        ),
        Preset(
            name="nemo",
            bands=20,
            rows=13,
            shingling=Shingling(unit="characters", n=24, lowercase=False),
            seed=42,
            source="https://docs.nvidia.com/nemo/curator/latest/nemo-curator/nemo_curator/stages/deduplication/fuzzy/workflow",
            note="No normalisation, as its workflow has none.",
        ),
        Preset(
            name="datasketch",
            bands=5,
            rows=25,
            spare=3,
            shingling=_FIVE_WORDS,
            scheme="datasketch",
            source=_DATASKETCH_URL,
            note=f"{_DATASKETCH_NOTE} Bands and rows are those of its default threshold, .9.",
        ),
    )
}
"""By name."""


def datasketch_preset(threshold: float = 0.9, num_perm: int = 128, shingling: Shingling = _FIVE_WORDS) -> Preset:
    """Signatures that datasketch can read, with the bands and rows that its MinHashLSH takes for a threshold."""
    bands, rows = choose_bands(threshold, num_perm)
    return Preset(
        name="datasketch",
        bands=bands,
        rows=rows,
        spare=num_perm - bands * rows,
        shingling=shingling,
        scheme="datasketch",
        source=_DATASKETCH_URL,
        note=_DATASKETCH_NOTE,
    )


def preset_of(name: str) -> Preset:
    """The preset by its name; ConfigError for an unknown one."""
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}; it must be one of {', '.join(PRESETS)}")
    return PRESETS[name]
