"""Removals among the real pages, drawn at random, shown to be read, and what the reader found.

    python -m benchmarks.dedup_verdicts --draw PAIRS.jsonl [--verified N] [--unverified N] [--seed N]
    python -m benchmarks.dedup_verdicts --show PAIRS.jsonl [FIRST [LAST]]
    python -m benchmarks.dedup_verdicts

The first draws removals of the default MinHash dedup, and some that only the mode without verification makes: with the
default seed of the permutations as many as there are, and then others with the seeds that follow; pairs that have a
verdict are left out. The second prints each pair with what differs. The third counts the verdicts that were given by
reading these, one a line in results/dedup_verdicts.jsonl, with Wilson intervals, and writes its own .json:

- `same`: one document. Copies, mirrors, all of it in the kept one, an untranslated page but for labels and at most a
  sentence or a tenth.
- `update`: another crawl or version of it.
- `boilerplate`: other pages, of which only a form or the site's frame was extracted.
- `template`: shared parts around contents of their own.
- `wrong`: nothing but navigation in common.

`template` and `wrong` are wrong deletions: the reader would miss something; `strictly` counts `boilerplate` as well. A
pair is judged by itself, whatever else was kept. The reader was a language model that saw both beginnings and the
longest differences of each pair as printed. What was drawn belongs to the code of that day: with other hash functions
other pairs near the threshold meet.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import pyarrow as pa

from .common import RESULTS, write
from .dedup_pages import Pairs, all_pairs, deduplicated, pages, shingle_set, write_shards

VERDICTS = ("same", "update", "boilerplate", "template", "wrong")
LOST = ("template", "wrong")
FILE = RESULTS / "dedup_verdicts.jsonl"


def draw(docs: pa.Table, pairs: Pairs, wanted: dict[str, int], seed_of_draw: int) -> list[dict[str, Any]]:
    """The pairs to read: `mode, seed, removed, kept` (ids), their URLs and Jaccard."""
    seen = {(row["removed"], row["kept"]) for row in verdicts()}
    place = {one: i for i, one in enumerate(docs["id"].to_pylist())}
    url = docs["url"].to_pylist()
    known = pairs.lookup()
    rng = random.Random(seed_of_draw)
    found: list[dict[str, Any]] = []
    left = dict(wanted)
    with tempfile.TemporaryDirectory() as name:
        documents = write_shards(docs, Path(name) / "in")
        for seed in range(1, 20):
            gone = {}
            for verify in (True, False):
                table, _ = deduplicated(documents, Path(name) / f"{seed}-{verify}", seed=seed, verify=verify)
                gone[verify] = dict(zip(table["id"].to_pylist(), table["duplicate_of"].to_pylist(), strict=True))
            loose = {a: b for a, b in gone[False].items() if a not in gone[True]}
            for mode, pool in (("unverified", loose), ("verified", gone[True] if seed == 1 else {})):
                new = sorted(one for one in pool.items() if one not in seen)
                for a, b in rng.sample(new, min(len(new), left[mode])):
                    i, j = sorted((place[a], place[b]))
                    urls = {"url": url[place[a]], "kept_url": url[place[b]]}
                    value = round(known.get((i, j), 0.0), 4)
                    found.append({"mode": mode, "seed": seed, "removed": a, "kept": b, **urls, "jaccard": value})
                    seen.add((a, b))
                    left[mode] -= 1
            if not left["unverified"]:
                break
    return sorted(found, key=lambda row: (row["mode"], row["seed"], row["url"], row["removed"]))


def differences(removed: str, kept: str, width: int = 110, most: int = 7) -> Iterator[str]:
    """What the removed text has (-) and the kept one has (+) alone, the longest pieces first, cut to be read."""
    a, b = removed.split("\n"), kept.split("\n")
    pieces: dict[str, list[str]] = {"-": [], "+": []}
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        v, w = " ".join(a[i:j]).split(), " ".join(b[k:m]).split()
        for inner, x, y, p, q in difflib.SequenceMatcher(None, v, w, autojunk=False).get_opcodes():
            if inner != "equal":
                pieces["-"].append(" ".join(v[x:y]))
                pieces["+"].append(" ".join(w[p:q]))
    for sign, texts in pieces.items():
        some = sorted(filter(None, texts), key=len, reverse=True)
        size = sum(len(one.split()) for one in some)
        yield f"  {sign} {size} words in {len(some)} pieces: " + " | ".join(one[:width] for one in some[:most])


def show(docs: pa.Table, rows: list[dict[str, Any]], first: int, last: int) -> None:
    """Print the pairs numbered first ... last - 1."""
    text = dict(zip(docs["id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    for number, row in list(enumerate(rows))[first:last]:
        a, b = text[row["removed"]], text[row["kept"]]
        print(f"[{number}] {row['mode']} J={row['jaccard']} {len(a.split())} / {len(b.split())} words")
        print(f"  {row['url']}\n  {row['kept_url']}")
        print("  removed begins: " + " ".join(a.split())[:150])
        print("  kept begins:    " + " ".join(b.split())[:150])
        print("\n".join(differences(a, b)), flush=True)


def wilson(hits: int, n: int, z: float = 1.96) -> list[float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not n:
        return [0.0, 1.0]
    p = hits / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [round((middle - half) / (1 + z * z / n), 4), round((middle + half) / (1 + z * z / n), 4)]


def verdicts(path: Path = FILE) -> list[dict[str, Any]]:
    """All pairs that were read, with `verdict` and `reason`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def summary(path: Path = FILE) -> dict[str, Any]:
    """Counts of verdicts by mode, and the share of wrong deletions."""
    rows = verdicts(path)
    out: dict[str, Any] = {}
    for mode, seeds in (("verified", "all"), ("unverified", "all"), ("unverified", "default seed")):
        some = [row for row in rows if row["mode"] == mode and (seeds == "all" or row["seed"] == 1)]
        counts = Counter(row["verdict"] for row in some)
        lost = sum(counts[one] for one in LOST)
        name = "with verification" if mode == "verified" else f"only without verification, {seeds}"
        out[name] = {
            "read": len(some),
            **{one: counts[one] for one in VERDICTS},
            "share_of_wrong_deletions": round(lost / max(1, len(some)), 4),
            "interval": wilson(lost, len(some)),
            "strictly": round((lost + counts["boilerplate"]) / max(1, len(some)), 4),
            "strict_interval": wilson(lost + counts["boilerplate"], len(some)),
        }
    return out


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", type=Path, help="write the pairs to read here")
    parser.add_argument("--show", nargs="+", help="a file of pairs, and the first and last to print")
    parser.add_argument("--verified", type=int, default=100, help="removals with verification to draw")
    parser.add_argument("--unverified", type=int, default=100, help="removals that only the other mode makes")
    parser.add_argument("--seed", type=int, default=20, help="of the draw")
    args = parser.parse_args()
    if args.show:
        rows = verdicts(Path(args.show[0]))
        bounds = [int(one) for one in args.show[1:]]
        show(pages(), rows, *(bounds + [0, len(rows)][len(bounds) :]))
        return
    if args.draw:
        docs = pages()
        pairs = all_pairs([shingle_set(text) for text in docs["text"].to_pylist()])
        found = draw(docs, pairs, {"verified": args.verified, "unverified": args.unverified}, args.seed)
        lines = [json.dumps(row, ensure_ascii=False) for row in found]
        args.draw.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    write("dedup_verdicts", {"reader": "a language model", **summary()})


if __name__ == "__main__":
    main()
