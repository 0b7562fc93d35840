"""Sentences made for training: templates with identity terms, insults, words of public lists set into plain sentences.

Templates lie in filters/data/{toxicity,nsfw}_sentences.yaml, terms in filters/data/identity_terms.yaml. What the kinds
`*_test` hold is for reporting only. Every choice is drawn by counter (seed and text), so that it repeats.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

from ..split import draw
from .toxicity_texts import Example, rows

SPACELESS = ("zh", "ja", "th")


@functools.cache
def bundled(name: str) -> dict[str, dict[str, list[str]]]:
    """A YAML file of filters/data."""
    text = (resources.files("filters") / "data" / f"{name}.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return found


def chance(key: str, seed: int) -> float:
    """A number in [0, 1) for a key."""
    return draw(seed, key) / 2**64


def pick(options: Sequence[str], key: str, seed: int) -> str:
    """One of the options, by a key."""
    return options[int(chance(key, seed) * len(options))]


def identity(kind: str, part: str) -> list[Example]:
    """Each template of `neutral_*` or `hostile_*` with each identity term of its language; group = the term."""
    found = []
    for lang, groups in bundled("identity_terms").items():
        for group, terms in groups.items():
            for template in bundled("toxicity_sentences")[lang][f"{kind}_{part}"]:
                for term in terms if "{t}" in template else []:
                    text = template.replace("{t}", term)
                    text = text[:1].upper() + text[1:]
                    found.append(Example(text, kind == "hostile", f"identity_{kind}", lang, f"{group}/{term}"))
    return found


def written(part: str) -> list[Example]:
    """The written sentences without a slot: insults, and plain sentences with the same words."""
    found = []
    for lang, kinds in bundled("toxicity_sentences").items():
        for kind, toxic in ((f"hostile_{part}", True), (f"insult_{part}", True), (f"plain_{part}", False)):
            sentences = [t for t in kinds.get(kind, []) if "{t}" not in t]
            found += [Example(t, toxic, "written", lang) for t in sentences]
    return found


def list_words(data: Path, part: str, sexual: bool = False) -> dict[str, list[str]]:
    """{language: words} of LDNOOBW and surge-ai's list, in small letters; a fifth of the words is of part `test`.

    `sexual` takes from surge-ai's list, which has categories, only the words for the body and for acts.
    """
    found: dict[str, set[str]] = {}
    for r in rows(data / "toxicity" / "ldnoobw_words.jsonl.gz"):
        found.setdefault(r["lang"], set()).add(r["word"].lower())
    for r in rows(data / "toxicity" / "surge_profanity_words.jsonl.gz"):
        if float(r["severity_rating"] or 0) >= 1.5 and (not sexual or r["category_1"].startswith("sexual anatomy")):
            found["en"].add(r["text"].lower())
    held = part == "test"
    return {lang: [w for w in sorted(words) if (chance(w, 9) < 0.2) == held] for lang, words in sorted(found.items())}


def with_words(
    plain: list[Example], words: dict[str, list[str]], source: str, share: float, seed: int
) -> list[Example]:
    """Copies of plain sentences in which one to three words of their language's list stand, by `share` of them."""
    found = []
    for e in plain:
        options = words.get(e.lang)
        if options and chance(e.text, seed) < share:
            found.append(Example(_inserted(e, options, seed), True, source, e.lang, e.group, e.test))
    return found


def _inserted(e: Example, options: Sequence[str], seed: int) -> str:
    spaced = e.lang not in SPACELESS
    parts = e.text.split() if spaced else list(e.text)
    length = len(parts)
    start = int(chance(e.text, seed + 1) * max(length - 14, 1))
    parts = parts[start : start + 14] if spaced else parts[start : start + 40]
    for k in range(1 + int(chance(e.text, seed + 2) * 3)):
        word = pick(options, f"{k} {e.text}", seed + 3)
        at = int(chance(f"{k} {e.text}", seed + 4) * (len(parts) + 1))
        parts.insert(at, word)
    return (" " if spaced else "").join(parts)


def nsfw_written(part: str, words: dict[str, list[str]], fills: int = 40) -> list[Example]:
    """The written adult sentences, each slot filled with `fills` words of the list, and the harmless ones."""
    found = []
    for lang, kinds in bundled("nsfw_sentences").items():
        for template in kinds.get(f"adult_{part}", []):
            options = words.get(lang, []) if "{w}" in template else [""]
            for word in sorted(options, key=lambda w: chance(template + w, 7))[:fills]:
                found.append(Example(template.replace("{w}", word), True, "nsfw_written", lang))
        found += [Example(t, False, "nsfw_safe", lang) for t in kinds.get(f"safe_{part}", [])]
    return found


def addresses(data: Path, part: str, limit: int = 1500) -> list[Example]:
    """Addresses of UT1's lists, signs to spaces: adult ones, and as many of other kinds."""
    found = []
    harmless = ("press", "bank", "cooking", "sports", "child", "jobsearch", "sexual_education", "radio")
    for r in rows(data / "urls" / "ut1_categories.jsonl.gz"):
        adult = r["category"] in ("adult", "mixed_adult")
        if adult or r["category"] in harmless:
            held = part == "test"
            entries = sorted(
                [a for a in r["entries"] if (chance(a.split("/")[0], 10) < 0.2) == held], key=lambda a: chance(a, 8)
            )[: limit if adult else limit // 4]
            found += [
                Example(re.sub(r"[\W_]+", " ", a.split("/", 1)[-1] if "/" in a else a), adult, "ut1", "en", a)
                for a in entries
            ]
    return [e for e in found if len(e.text) > 5]


class Teacher:
    """The word weights of alt-profanity-check (MIT), a linear model made on Wikipedia comments and tweets.

    Used where the package is installed; its identity terms are left out, so that their weights are not learned.
    """

    def __init__(self) -> None:
        try:
            from profanity_check.profanity_check import model, vectorizer
        except ImportError as error:
            raise ConfigError("training needs alt-profanity-check: pip install 'gristmill[train]'") from error
        self.model, self.vectorizer = model, vectorizer
        terms = {
            t for group in bundled("identity_terms")["en"].values() for term in group for t in term.lower().split()
        }
        vocabulary = sorted(w for w in vectorizer.get_feature_names_out() if w not in terms and w.isalpha())
        scores = self.probabilities(vocabulary)
        self.words = [w for w, p in zip(vocabulary, scores, strict=True) if p > 0.5 and w[:-1] not in terms]

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Of each text, that it is offensive."""
        found: Any = self.model.predict_proba(self.vectorizer.transform(texts))[:, 1]
        return [float(p) for p in found]

    def taught(self, plain: list[Example], seed: int, share: float) -> list[Example]:
        """English sentences with words that the teacher minds, where it minds the whole (p > 0.7)."""
        made = with_words([e for e in plain if e.lang == "en"], {"en": self.words}, "taught", share, seed)
        scores = self.probabilities([e.text for e in made])
        return [e for e, p in zip(made, scores, strict=True) if p > 0.7 and not math.isnan(p)]
