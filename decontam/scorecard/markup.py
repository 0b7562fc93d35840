"""An item in other markup: LaTeX as plain text, Markdown or escaped HTML, lists, and a page break through it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from .draws import Draws
from .noise import WORD
from .pool import Item
from .render import LABELS, answer_text, choice_lines

_COMMAND = re.compile(r"\\[A-Za-z]+")
_SYMBOLS = {
    "cdot": "·", "times": "×", "div": "÷", "pm": "±", "mp": "∓", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥",
    "neq": "≠", "ne": "≠", "approx": "≈", "equiv": "≡", "infty": "∞", "circ": "°", "angle": "∠", "triangle": "△",
    "ldots": "...", "dots": "...", "cdots": "...", "to": "→", "rightarrow": "→", "in": "∈", "cup": "∪", "cap": "∩",
    "sum": "Σ", "prod": "Π", "int": "∫", "pi": "π", "alpha": "α", "beta": "β", "gamma": "γ", "theta": "θ",
    "lambda": "λ", "omega": "ω", "sigma": "σ", "mu": "μ", "phi": "φ", "Delta": "Δ", "overline": "", "left": "",
    "right": "", "displaystyle": "", "quad": " ", "qquad": " ", "perp": "⊥", "parallel": "∥", "mid": "|",
}  # fmt: skip
"""Plain characters of LaTeX commands, as the Unicode names of the commands' own symbols have them."""
_WRAPPERS = "text|textbf|textit|mathrm|mathbf|mathbb|mathcal|operatorname|boxed|mbox|emph|underline"
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def plain_formulas(text: str, draws: Draws) -> str | None:
    """LaTeX as plain text: fractions by a slash, roots, powers, symbols; no dollar, no backslash stays.

    None where the text has no command, or a drawing (`[asy]`) or an environment."""
    if not _COMMAND.search(text) or "[asy]" in text or "\\begin" in text:
        return None
    root = draws.choice(("sqrt({})", "√({})", "√{}"))
    fraction = draws.choice(("{}/{}", "({})/({})"))
    text = text.replace("\\$", "USD ").replace("\\%", "%").replace("\\{", "{ ").replace("\\}", " }")
    text = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    before = ""
    while before != text:
        before = text
        text = re.sub(rf"\\(?:{_WRAPPERS})\s*{{([^{{}}]*)}}", r"\1", text)
        text = re.sub(r"\\sqrt(?:\[\d+\])?{([^{}]*)}", lambda match: root.format(match.group(1)), text)
        text = re.sub(r"\\[dt]?frac\s*{([^{}]*)}\s*{([^{}]*)}", lambda match: fraction.format(match[1], match[2]), text)
        text = re.sub(r"\^{([^{}\\]*)}", r"^\1", text)
        text = re.sub(r"_{([^{}\\]*)}", r"_\1", text)
    text = text.replace("^\\circ", "°").replace("\\\\", "; ")
    text = _COMMAND.sub(lambda match: _SYMBOLS.get(match.group()[1:], " " + match.group()[1:]), text)
    if draws.chance(0.5):
        text = text.replace("^2", "²").replace("^3", "³")
    return re.sub(r"[$\\{}]|\\[()\[\]]", "", text)


def markdown(item: Item, draws: Draws) -> str | None:
    """Markdown with emphasis and check boxes, HTML with its characters escaped, or a table row a choice.

    None for an item without a stem."""
    if not item.stem:
        return None
    way = draws.below(3)
    if way == 0:

        def emphasised(match: re.Match[str]) -> str:
            return f"{mark}{match.group()}{mark}" if draws.chance(0.12) else match.group()

        mark = draws.choice(("*", "**", "_", "`"))
        lines = [f"### {draws.between(1, 60)}. " + WORD.sub(emphasised, item.stem), ""]
        lines += [f"- [{'x' if choice == item.answer else ' '}] {choice}" for choice in item.choices]
        return "\n".join([*lines, f"> **Answer:** {item.answer}"] if item.answer else lines)
    if way == 1:
        rows = [f"<p><b>Question {draws.between(1, 60)}.</b> {html.escape(item.stem)}</p>"]
        rows += [f"<p>{html.escape(line)}</p>" for line in choice_lines(item.choices, draws.choice(list(LABELS)))]
        return "\n".join([*rows, f"<p><i>Answer:</i> {html.escape(item.answer)}</p>"] if item.answer else rows)
    style = draws.choice(("A.", "1.", "a)"))
    rows = [f"| {draws.between(1, 60)} | {item.stem} |", "| --- | --- |"]
    rows += [f"| {line.replace(' ', ' | ', 1)} |" for line in choice_lines(item.choices, style)]
    return "\n".join([*rows, f"| Answer | {answer_text(item.choices, item.answer, style)} |"] if item.answer else rows)


def html_list(item: Item, draws: Draws) -> str:
    """A list as tags or as bullets: each sentence of the stem or all of it, each choice, the answer."""
    sentences: Sequence[str] = _SENTENCE.split(item.stem) if draws.chance(0.5) else [item.stem]
    answer = [f"Answer: {item.answer}"] if item.answer else []
    if draws.chance(0.5):
        name = draws.choice(("ul", "ol"))
        rows = [f"<li>{text}</li>" for text in (*sentences, *item.choices, *answer)]
        return "\n".join([f"<{name}>", *rows, f"</{name}>"])
    outer, inner = draws.choice((("* ", "    * "), ("• ", "  ◦ "), ("- ", "  - ")))
    return "\n".join([*(outer + text for text in sentences), *(inner + text for text in (*item.choices, *answer))])


def page_break(text: str, draws: Draws, head: str) -> str | None:
    """The text cut at a space between three and seven tenths of its words, with a page's footer and header between.

    `head` is the running header's words. None for a text of fewer than 8 words."""
    spaces = [match.start() for match in re.finditer(r"(?<=\S) (?=\S)", text)]
    if len(spaces) < 7:
        return None
    at = spaces[draws.between(len(spaces) * 3 // 10, len(spaces) * 7 // 10)]
    page = draws.between(2, 480)
    footer = draws.choice(
        (f"Page {page} of {page + draws.between(1, 90)}", f"- {page} -", f"{page}", f"{head} | {page}")
    )
    header = draws.choice((head, f"{head} (continued)", f"{page + 1}    {head}", f"www.example.org\n{head}"))
    return f"{text[:at]}\n{footer}\n\f{header}\n{text[at + 1 :]}"
