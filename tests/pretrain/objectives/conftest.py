"""A pack set whose documents have titles, read by bytes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.pipeline.token_tools import byte_tokenizer, pack_set

WORDS = ["mill", "grain", "river", "stone", "wheel", "flour", "bread", "oven", "field", "miller"]


def titled_documents() -> list[tuple[str, str | None, str]]:
    """(id, title, text): 90 documents; text is words of the title again and again. Every tenth has no title, every
    ninth the title of the one before, and every seventh begins with its title."""
    rng = random.Random(0)
    made: list[tuple[str, str | None, str]] = []
    for i in range(90):
        two = rng.sample(WORDS, 2)
        title: str | None = f"{two[0].capitalize()} {two[1]}"
        text = " ".join(rng.choice(two) for _ in range(rng.randint(6, 12))) + "."
        if i % 10 == 9:
            title = [None, "", "  "][i // 10 % 3]
        elif i % 9 == 8:
            title = made[-1][1]
        if i % 7 == 6 and title and title.strip():
            text = f"{title}\n{text}"
        made.append((f"{i:032x}", title, text))
    return made


@pytest.fixture(scope="session")
def titled_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs of `titled_documents`, whole documents in sequences of 128 bytes."""
    pytest.importorskip("torch")
    return write_titled(tmp_path_factory.mktemp("titled"), titled_documents())


def write_titled(folder: Path, documents: list[tuple[str, str | None, str]], method: str = "best_fit") -> Path:
    """A pack set of documents with titles; each is packed behind two tokens that `pack_set` calls its title."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    loaded = byte_tokenizer(folder / "t.json")
    encoded = [(name, loaded.tokenizer.encode(f"> {text}").ids + [loaded.eos_id]) for name, _, text in documents]
    (folder / "documents").mkdir()
    columns = {
        "id": [name for name, _, _ in documents],
        "url": [f"https://example.org/{name}" for name, _, _ in documents],
        "title": pa.array([title for _, title, _ in documents], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "documents" / "0.parquet")
    return pack_set(folder, [encoded], 128, 8, method=method, documents=["documents/0.parquet"])
