"""Builds the bundled model `characters` from DATA/lid/lingua_sentences75.jsonl.gz: python -m filters.lm.bundle DATA.

One character n-gram model for each language, from about 1 000 sentences of the Leipzig Corpora Collection (CC BY 4.0).
The same data give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any

from pipeline.store import write_json

from . import normalisation, tokens, training

SOURCE = "lid/lingua_sentences75.jsonl.gz"
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "zh")
WITH_ENGLISH = ("ar", "hi", "ja", "ko", "ru", "zh")
"""Pages in other scripts hold English names, menus and code: a part of the English sentences is learned with them."""
ENGLISH_SENTENCES = 300
ORDER, MIN_COUNTS, DIGITS = 4, (1, 1, 2, 3), 2


def sentences(data: Path) -> dict[str, list[str]]:
    """{language: sentences} of the bundled languages."""
    found: dict[str, list[str]] = {lang: [] for lang in LANGUAGES}
    with gzip.open(data / SOURCE, "rt", encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            if one["lang"] in found:
                found[one["lang"]].append(one["text"])
    for lang in WITH_ENGLISH:
        found[lang] += found["en"][:ENGLISH_SENTENCES]
    return found


def model_of(texts: list[str]) -> training.NgramModel:
    """The character model of some sentences."""
    lines = [line for text in texts for line in normalisation.normalised_lines(text)]
    return training.train([line.split(" ") for line in tokens.characters(lines)], ORDER, MIN_COUNTS)


def card(counts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the model is, what it was made from and what it can't do."""
    return {
        "name": "characters",
        "description": "Character n-gram models of 14 languages, to tell writing from gibberish by perplexity",
        "method": f"interpolated modified Kneser-Ney, order {ORDER}, n-grams seen fewer than {list(MIN_COUNTS)} times "
        f"pruned, log10 values with {DIGITS} decimals; CCNet's normalisation, spaces as U+2581",
        "data": [
            {
                "name": "Leipzig Corpora Collection (Wortschatz Leipzig), sentences of news, web and Wikipedia, as "
                "selected in language-testdata of lingua-py (github.com/pemistahl/lingua-py)",
                "licence": "CC BY 4.0 (Leipzig Corpora Collection); Apache-2.0 (selection)",
                "reference": "Goldhahn, Eckart, Quasthoff 2012, Building Large Monolingual Dictionaries at the "
                "Leipzig Corpora Collection; https://wortschatz.uni-leipzig.de",
            }
        ],
        "languages": counts,
        "limits": "Trained on some 100 kB of sentences a language (Japanese 18, Chinese 35; languages in other scripts "
        f"with {ENGLISH_SENTENCES} English sentences besides): a detector of gibberish, "
        "no judge of quality. Lists of names, codes, formulas and tables score high too, other languages in the same "
        "script only somewhat higher than the model's own, fluent nonsense made of real words low.",
        "command": "python -m filters.lm.bundle DATA",
    }


def build(data: Path, models: Path) -> None:
    """Writes `characters/{lang}.arpa.gz` and `characters.json` into a folder."""
    counts = {}
    for lang, texts in sentences(data).items():
        made = model_of(texts)
        made.write(models / "characters" / f"{lang}.arpa.gz", DIGITS)
        counts[lang] = {"sentences": len(texts), "ngrams": [len(found) for found in made.grams]}
    write_json(models / "characters.json", card(counts))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help=f"the folder that holds {SOURCE}")
    parser.add_argument("-o", "--output", type=Path, default=Path(str(resources.files("filters"))) / "models")
    given = parser.parse_args()
    build(given.data, given.output)


if __name__ == "__main__":
    main()
