"""What a classifier is trained with: published settings as presets, each option changeable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConfigError, nearest

from .normalisation import Normalisation


@dataclass(frozen=True, kw_only=True)
class Settings:
    """fastText's hyper-parameters, the quantiser's, and how texts are written."""

    word_ngrams: int = field(default=1, metadata={"help": "longest n-gram of words"})
    dim: int = field(default=100, metadata={"help": "dimensions of the hidden layer"})
    lr: float = field(default=0.1, metadata={"help": "learning rate"})
    epoch: int = field(default=5, metadata={"help": "passes over the documents"})
    min_count: int = field(default=1, metadata={"help": "rarer words are left out"})
    minn: int = field(default=0, metadata={"help": "shortest n-gram of letters"})
    maxn: int = field(default=0, metadata={"help": "longest n-gram of letters; 0 = none"})
    bucket: int = field(default=2_000_000, metadata={"help": "hash buckets for n-grams"})
    loss: str = field(default="softmax", metadata={"help": "softmax, hs or ova"})
    seed: int = field(default=0, metadata={"help": "of the split, the order and fastText"})
    quantise: bool = field(default=True, metadata={"help": "write .ftz, not .bin"})
    cutoff: int = field(default=100_000, metadata={"help": "words and n-grams kept by the quantiser; 0 = all"})
    retrain: bool = field(default=True, metadata={"help": "train anew after the cut"})
    qnorm: bool = field(default=True, metadata={"help": "quantise norms apart"})
    dsub: int = field(default=2, metadata={"help": "numbers that share a code"})
    balance: bool = field(default=True, metadata={"help": "repeat documents of rarer labels until all weigh alike"})
    threshold_quantile: float | None = field(
        default=None, metadata={"help": "recommend this quantile of held-out negatives as threshold, not 0.5"}
    )
    normalisation: Normalisation = field(default_factory=Normalisation)

    def check(self) -> None:
        """Raise ConfigError for values that fastText would refuse or crash on."""
        for name, low, high in (
            ("word_ngrams", 1, 8), ("dim", 1, 2000), ("epoch", 1, 10_000), ("min_count", 1, 1 << 30), ("minn", 0, 16),
            ("maxn", 0, 16), ("bucket", 1, 50_000_000), ("cutoff", 0, 1 << 30), ("dsub", 1, self.dim),
            ("lr", 1e-9, 100), ("seed", 0, (1 << 31) - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"classifier train: {name} must lie in [{low}, {high}], not {value}")
        if self.loss not in ("softmax", "hs", "ova"):
            raise ConfigError(f"classifier train: loss must be softmax, hs or ova, not '{self.loss}'")
        quantile = self.threshold_quantile
        if quantile is not None and not 0 <= quantile <= 1:
            raise ConfigError(f"classifier train: threshold_quantile must lie in [0, 1], not {quantile}")
        if self.normalisation.max_bytes < 0:
            raise ConfigError(
                f"classifier train: max_bytes must be 0 (no limit) or more, not {self.normalisation.max_bytes}"
            )
        if self.minn > self.maxn > 0:
            raise ConfigError(f"classifier train: minn {self.minn} is above maxn {self.maxn}")

    def json(self) -> dict[str, Any]:
        """As plain JSON values, but for the normalisation, which a card states apart."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "normalisation"}


PRESETS: dict[str, Settings] = {
    # DCLM (Li et al. 2024, arXiv:2406.11794, section 4.4 and its training script): top tenth kept
    "dclm": Settings(word_ngrams=2, threshold_quantile=0.9),
    # CCNet's and GPT-3's idea (Wenzek et al. 2019; Brown et al. 2020, appendix A): good text against raw web
    "wikipedia": Settings(
        word_ngrams=2, dim=64, bucket=500_000, min_count=2,
        normalisation=Normalisation(lowercase=True, digits_to_zero=True, split_punctuation=True, split_cjk=True),
    ),
    # Dolma's taggers (Soldaini et al. 2024) use bigrams; character n-grams are for scripts without spaces and spellings
    "toxicity": Settings(
        word_ngrams=2, dim=32, bucket=500_000, min_count=2, minn=2, maxn=5, epoch=10, lr=0.2,
        normalisation=Normalisation(lowercase=True, digits_to_zero=True, split_punctuation=True),
    ),
}  # fmt: skip


def preset(name: str, **changes: Any) -> Settings:
    """A preset with some options changed; options of the normalisation by their own names. Raises ConfigError."""
    if name not in PRESETS:
        raise ConfigError(f"no preset is called '{name}'{nearest(name, PRESETS)}; there are {', '.join(PRESETS)}")
    inner = {f.name for f in dataclasses.fields(Normalisation)}
    known = {f.name for f in dataclasses.fields(Settings)} | inner
    for key in changes:
        if key not in known:
            raise ConfigError(f"classifier train has no option '{key}'{nearest(key, known)}")
    base = PRESETS[name]
    text = dataclasses.replace(base.normalisation, **{k: v for k, v in changes.items() if k in inner})
    found = dataclasses.replace(base, **{"normalisation": text, **{k: v for k, v in changes.items() if k not in inner}})
    found.check()
    return found
