"""CCNet's text normalisation (Wenzek et al. 2020; cc_net/text_normalizer.py), in time linear in the text.

Small letters, no accents (canonical decomposition without non-spacing marks), digits of any script to 0, punctuation
of other scripts as in ASCII, no control characters. As there, voiced kana lose their mark and Hangul falls apart into
its letters: models that were trained behind CCNet's normalisation expect that.
"""

from __future__ import annotations

import unicodedata

_PUNCTUATION = {
    **dict(zip("，。、∶：？！（）；～％", ",.,::?!();~%", strict=True)),
    **dict.fromkeys("„”“«»」「《》", '"'),
    **dict.fromkeys("´’", "'"),
    **dict.fromkeys("–━►", "-"),
    **dict(zip("〈〉【】", "<>[]", strict=True)),
    "—": " - ",
    "．": ". ",
    "…": "...",
}


class _Table(dict[int, str]):
    """What becomes of each code point, found when it is first met; for `str.translate`."""

    def __missing__(self, point: int) -> str:
        made = []
        for char in unicodedata.normalize("NFD", chr(point)):
            category = unicodedata.category(char)
            if category == "Nd":
                made.append("0")
            elif category != "Mn" and (category != "Cc" or char == "\n"):
                made.append(_PUNCTUATION.get(char, char))
        self[point] = "".join(made)
        return self[point]


_TABLE = _Table()


def normalised_lines(text: str) -> list[str]:
    """The lines of a text (parted by line feeds), each normalised; blank ones are left out."""
    stripped = "\n".join([line.strip() for line in text.split("\n")])
    return [line for line in stripped.lower().translate(_TABLE).split("\n") if line]


def normalised_document(text: str) -> str:
    """A whole text normalised as one line: line feeds vanish without a trace, as in CCNet's pipeline."""
    return text.strip().lower().translate(_TABLE).replace("\n", "")
