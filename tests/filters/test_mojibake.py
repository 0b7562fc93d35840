"""Encoding damage: text broken on purpose, clean text of 75 languages, and a second reading of the signs."""

from __future__ import annotations

import gzip
import json
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.mojibake import Mojibake, MojibakeRepair, damage
from pipeline.errors import ConfigError
from pipeline.stage import CUT_SPANS, DROP_REASON


def table(texts):
    return pa.table({"text": pa.array(texts, pa.large_string())})


def cp1252(raw):
    """As browsers read windows-1252: the five unassigned bytes are C1 controls."""
    return "".join(chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in raw)


def image(codec, *without):
    found = {bytes([b]).decode(codec, "ignore") for b in range(0x80, 0xC0)} - {"", *without}
    return "[" + re.escape("".join(sorted(found))) + "]"


NEXT = "[" + image("cp1252")[1:-1] + image("latin-1")[1:-1] + "]"
SEQUENCES = re.compile(
    f"[ÂÃÄÅÎÏÐÑ×ØÙ]{NEXT}|[à-ï]{NEXT}{{2}}|ð{NEXT}{{3}}|[РС]{image('cp1251')}|[пя]{image('koi8-r', 'ё', 'Ё', chr(160))}"
)
QUOTES = "\xa0\xab\xbb\xb7\xad\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a\u2026\u2013\u2014\u2022"
SIGNS = "©®™°²³¹"


def oracle(text):
    """Characters of broken letters: sequences first, then runs of Latin-1's upper half, then C1 controls."""
    marked = [0] * len(text)
    weak = []  # sequences that good text may hold, touching each other
    for match in SEQUENCES.finditer(text):
        a, b = match.span()
        lead, rest = text[a], text[a + 1 : b]
        odd = QUOTES if lead in "ÂÃ" else QUOTES + SIGNS
        if lead in "ÂÃÄÅÎÏÐÑ×ØÙ" and a and "a" <= text[a - 1] <= "z":
            odd = ""
        certain = lead not in "РС" and rest[0] not in odd and not all(c in odd for c in rest)
        touches = a > 0 and marked[a - 1] != 0
        for i in range(a, b):
            marked[i] = 2 if certain or touches else 1
        if touches:
            for i in weak:
                marked[i] = 2
        weak = [] if certain or touches else list(range(a, b))
    broken = sum(m == 2 for m in marked)
    rest = "".join(" " if m else c for c, m in zip(text, marked, strict=True))
    for run in re.findall("[\xa1-\xff]{5,}", rest):
        letters = sum(c >= "À" and c not in "×÷" for c in run)
        if 5 * letters >= 3 * len(run) and len(set(run)) > 1:
            broken += len(run)
    return broken + sum("\x80" <= c <= "\x9f" and c != "\x85" and not m for c, m in zip(text, marked, strict=True))


SAMPLE = {
    "utf-8 as windows-1252": cp1252("Größe – «naïve» façade’s".encode()),
    "utf-8 as latin-1": "Größe naïve".encode().decode("latin-1"),
    "utf-8 as windows-1251": "Привет, мир".encode().decode("cp1251"),
    "utf-8 as koi8-r": "Привет, мир".encode().decode("koi8-r"),
    "windows-1251 as windows-1252": "Привет, медведь".encode("cp1251").decode("cp1252"),
    "greek as latin-1": "Καλημέρα κόσμε".encode("iso-8859-7").decode("latin-1"),
    "chinese as latin-1": "简体中文网页的内容".encode("gbk").decode("latin-1"),
    "japanese": cp1252("日本語のテキスト".encode()),
    "emoji": cp1252("good 😀 day".encode()),
    "twice": cp1252(cp1252("déjà".encode()).encode()),
    "c1": "it\x92s",
}


@pytest.mark.parametrize("kind", SAMPLE)
def test_damage_is_seen_and_repaired_where_it_can_be(kind):
    docs = table([SAMPLE[kind] * 3])
    assert Mojibake()(docs)[DROP_REASON].to_pylist() == ["max_broken"]
    fixed = MojibakeRepair()(docs)
    if kind in ("utf-8 as windows-1252", "utf-8 as latin-1", "utf-8 as windows-1251", "emoji", "twice", "c1"):
        assert Mojibake().scored(fixed)["mojibake"].to_pylist()[0]["broken"] == 0
        assert [s["kind"] for s in fixed[CUT_SPANS].to_pylist()[0]] == ["mojibake"]


CLEAN = [
    "MAÇÃ” e IRMÃ… – NÃO", "le « café » où l’été\xa0» à\xa0– là\xa0«", "Straß„ Spaß“ groß…", "Різдво Ріка РІС СЄ Рё",
    "KNÄ” PÄÄ» JÄÄÄÄÄR", "CAFÉ™ NESTLÉ® É²", "пёстрых няёмка пё яё", "Þórður ðað æöð", "SIÊN Ấ Ậ", "° ± ² ³ · §§§§§§",
    "«»«»«»", "······", "ÄÄÄÄÄÄÄÄ", "plain ASCII", "漢字とかな", "ÿ", "Ã", "â", "ð", "Р", "п",
]  # fmt: skip


@pytest.mark.parametrize("text", CLEAN)
def test_good_text_has_none(text):
    assert damage(table([text]))[0, 1] == 0 == oracle(text)


ODD = st.sampled_from(
    [*"ÂÃÄÅÐÑàâãéðŸРСпя©°»€™‚„…µёЂЃ─│░ÀÿaZz .\x80\x85\x92\xa0\xad\ufffd\ue000😀漢", "Ã©", "â€™", "РµС‚"]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(ODD, max_size=14).map("".join))
def test_as_the_oracle(text):
    counts = damage(table([text]))[0]
    assert counts[0] == len(text)
    assert counts[2] == text.count("\ufffd") and counts[3] == text.count("\ue000")
    assert counts[1] == oracle(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_text(texts):
    docs = table(texts)
    fixed = MojibakeRepair()(docs)
    for old, new, spans, count in zip(
        texts, fixed["text"].to_pylist(), fixed[CUT_SPANS].to_pylist(), damage(docs), strict=True
    ):
        assert count[0] == len(old) and count[1:].max() <= len(old)
        assert bool(spans) == (old != new)
        assert count[1] or old == new


def test_thresholds_at_their_boundaries():
    texts = ["x" * 197 + "Ã¤" + "y", "x" * 198 + "Ã¤", "x" * 197 + "Ã¤", "\ufffd" + "x" * 99, "\ufffd" + "x" * 98,
             "\ue000" * 2 + "x" * 8, "\ue000" * 2 + "x" * 7, ""]  # fmt: skip
    assert Mojibake()(table(texts))[DROP_REASON].to_pylist() == [
        None, None, "max_broken", None, "max_replaced", None, "max_private_use", None,
    ]  # fmt: skip
    stage = MojibakeRepair(min_broken=0.01)
    assert stage(table(texts))["text"].to_pylist()[:3] == [texts[0], texts[1], "x" * 197 + "ä"]


def test_spans_are_lines_in_bytes():
    text = "é fine\ncafÃ© à la carte\nok\nÃ¼ber"
    out = MojibakeRepair()(table([None, text]))
    assert out["text"].to_pylist() == ["", "é fine\ncafé à la carte\nok\nüber"]
    raw = text.encode()
    assert [raw[s["start"] : s["end"]].decode() for s in out[CUT_SPANS].to_pylist()[1]] == ["cafÃ© à la carte", "Ã¼ber"]


def test_hostile_texts_and_options():
    texts = ["Ã" * 1_000_000, "Ð\x9f" * 300_000, "\x80" * 500_000, "é\xa0»" * 200_000, "п" * 500_000, "😀" * 200_000]
    assert damage(table(texts))[:, 0].tolist() == [len(t) for t in texts]
    assert Mojibake()(table([])).num_rows == MojibakeRepair()(table([])).num_rows == 0
    with pytest.raises(ConfigError, match="min_broken"):
        MojibakeRepair(min_broken=2).check()


def test_clean_sentences_of_75_languages(shared_data):
    """Under 1 in 200 is marked, and what is marked is damaged: half are French and Finnish with C1 controls."""
    with gzip.open(shared_data / "lid" / "lingua_sentences75.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    counts = damage(table([row["text"] for row in rows]))
    marked = [row for row, count in zip(rows, counts, strict=True) if count[1]]
    assert 100 < len(marked) < len(rows) / 200
    unexplained = [r for r in marked if not re.search("[\x80-\x9f]|[ÂÃÄÅâï\u0102\u0139]|ï¿½", r["text"])]
    assert unexplained == []
