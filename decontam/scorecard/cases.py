"""Cases with known answers: items in the listed forms, and hard negatives, each within a page of real web text.

Reads an ITEM table and a table of host documents (`id, text, url`); makes one half's cases (see `split`). Each form has
the same number of cases, its items taken from the half's benchmarks in turn, so that a small benchmark counts as much
as a large one. Pages that quote an item already are left out. A case hangs on the seed, its half, its form and its
number alone, and on which items and hosts there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import ConfigError, SchemaError, nearest

from .draws import Draws, number_of
from .forms import PLANTS, Form, World
from .negatives import NEAR_RUN, NEGATIVES
from .placement import place
from .pool import Item, Pool, Screen, read_table
from .quotations import QUOTATIONS
from .split import CHOICES, evaluated_split, has_benchmark, has_host
from .topics import matches

FORMS: dict[str, Form] = {form.name: form for form in (*PLANTS, *NEGATIVES)}
"""Every form by its name, plants first."""

HOST_WORDS = (80, 1500)
"""A page that holds a case has at least the first and fewer than the second words; with more it is a long host."""
LONG_HOST_WORDS = 12_000
"""Pages of more words than this hold no case."""
USES = 4
"""How many cases of one form may come from one item where the items run out, each in another page and drawn anew."""
ATTEMPTS = 50
"""Draws that a negative without an item may take until it quotes none."""
_NOTHING = Item("", "", "", "", (), "", "")


@dataclass(frozen=True)
class Case:
    """A text and what is true of it.

    `item` is the planted item, None for a negative; `near` the item that a negative is like, None where there is none;
    `carries` all items that the text truly holds. [start, end) are the bytes (UTF-8) of the plant, or of what makes
    the negative a hard one, in `text`; `fragments` its parts, two where it stands in two places."""

    number: int
    text: str
    item: str | None
    form: str
    start: int
    end: int
    host: str
    half: str
    near: str | None = None
    carries: tuple[str, ...] = ()
    fragments: tuple[tuple[int, int], ...] = ()

    @property
    def name(self) -> str:
        """`HALF/FORM/NUMBER`, unique."""
        return f"{self.half}/{self.form}/{self.number:04d}"


@dataclass(frozen=True)
class Host:
    """A page: its id and text, and its size in words."""

    name: str
    text: str
    size: int


class Bench:
    """All items, read and screened once for both halves. Names of evaluated splits by benchmark: `splits`."""

    def __init__(self, items: pa.Table) -> None:
        """items: an ITEM table of all benchmarks and splits."""
        self.pool = Pool(read_table(items))
        self.splits = {
            name: evaluated_split(sorted({item.split for item in group}))
            for name, group in self.pool.by_benchmark.items()
        }
        self.evaluated = [item for item in self.pool.items if item.split == self.splits[item.benchmark]]
        self.held_out = [item for item in self.pool.items if item.split != self.splits[item.benchmark]]
        self._quotes_evaluated = Screen(self.evaluated)
        self._quotes_held_out = Screen(self.held_out)

    def quotes_evaluated(self, text: str) -> bool:
        """Whether the text quotes an evaluated item."""
        return bool(self._quotes_evaluated.quoting([text])[0])

    def quoting(self, texts: Sequence[str]) -> list[bool]:
        """Which texts quote any item."""
        return (self._quotes_evaluated.quoting(texts) | self._quotes_held_out.quoting(texts)).tolist()


class Workshop:
    """One half's items and hosts; makes the cases of any form."""

    def __init__(self, bench: Bench, hosts: pa.Table, half: str, *, seed: int = 0, quotations: Sequence[str] = ()):
        """`quotations` are added to the built-in ones. `quoting_hosts`: pages left out, for they quote an item.
        The half WHOLE is all benchmarks and hosts, FRESH the fresh benchmarks and all hosts.

        Raises ConfigError for an unknown half, or where the half has no benchmark or no host; SchemaError for a missing
        column."""
        if half not in CHOICES:
            raise ConfigError(f"scorecard: half is {half!r}, not one of {', '.join(CHOICES)}{nearest(half, CHOICES)}")
        self.half, self.seed, self.bench = half, seed, bench
        self.evaluated = [item for item in bench.evaluated if has_benchmark(half, item.benchmark)]
        self.held_out = [item for item in bench.held_out if has_benchmark(half, item.benchmark)]
        if not self.evaluated:
            raise ConfigError(f"scorecard: no benchmark falls to the {half} half; give more benchmarks")
        read = _read_hosts(hosts, half)
        quoting = bench.quoting([host.text for host in read])
        self.quoting_hosts = [host.name for host, bad in zip(read, quoting, strict=True) if bad]
        clean = [host for host, bad in zip(read, quoting, strict=True) if not bad]
        self.hosts = [host for host in clean if host.size < HOST_WORDS[1]]
        self.long_hosts = [host for host in clean if host.size >= HOST_WORDS[1]]
        if not self.hosts:
            raise ConfigError(
                f"scorecard: no host of {HOST_WORDS[0]} to {HOST_WORDS[1]} words falls to the {half} half; "
                "give more documents"
            )
        self._world = World(bench.pool, (*QUOTATIONS.values(), *quotations))

    def in_half(self, hosts: pa.Table) -> list[bool]:
        """Which documents of a table (`id, url`) are pages of this half, whatever their size."""
        pairs = zip(hosts["url"].to_pylist(), hosts["id"].to_pylist(), strict=True)
        return [has_host(self.half, url or "", str(name)) for url, name in pairs]

    def make(self, form: Form, count: int) -> list[Case]:
        """Up to `count` cases of a form; fewer where items or hosts that fit run out."""
        if form.source == "topic":
            return self._topic_cases(form, count)
        held = self.long_hosts if form.place in ("start", "middle", "end") else self.hosts
        hosts = sorted(held, key=lambda host: number_of(self.seed, form.name, host.name))
        if not hosts:
            return []
        if form.source == "none":
            cases = []
            for number in range(min(count, len(hosts)) if form.place == "host" else count):
                host = hosts[number % len(hosts)]
                tries = (self._case(form, _NOTHING, host, number, attempt) for attempt in range(ATTEMPTS))
                cases += list(filter(None, [next(filter(None, tries), None)]))
            return cases
        return self._item_cases(form, count, hosts)

    def _item_cases(self, form: Form, count: int, hosts: Sequence[Host]) -> list[Case]:
        """One case an item, the benchmarks in turn; items come again only after all benchmarks have run out."""
        cases: list[Case] = []
        queues = self._queues(form)
        for use in range(USES):
            fitting: list[list[Item]] = [[] for _ in queues]
            turns = [(iter(queue), fit) for queue, fit in zip(queues, fitting, strict=True)]
            while turns:
                still = []
                for source, fit in turns:
                    for item in source:
                        number = len(cases)
                        case = self._case(form, item, hosts[number % len(hosts)], number, use)
                        if case is not None:
                            cases.append(case)
                            fit.append(item)
                            still.append((source, fit))
                            break
                    if len(cases) == count:
                        return cases
                turns = still
            queues = fitting
        return cases

    def _queues(self, form: Form) -> list[list[Item]]:
        groups: dict[str, list[Item]] = {}
        for item in self.held_out if form.source == "held_out" else self.evaluated:
            groups.setdefault(item.benchmark, []).append(item)
        return [
            sorted(group, key=lambda item: number_of(self.seed, form.name, item.name))
            for _, group in sorted(groups.items())
        ]

    def _case(self, form: Form, item: Item, host: Host, number: int, attempt: int) -> Case | None:
        draws = Draws(self.seed, form.name, self.half, number, item.name, attempt)
        fragments = form.make(item, draws, self._world)
        if fragments is None:
            return None
        if form.place == "host":
            text = host.text
            spans: tuple[tuple[int, int], ...] = ((0, len(text.encode())),)
        else:
            text, spans = place(host.text, fragments, form.place, draws)
        if not form.contaminated and not form.exempt and self.bench.quotes_evaluated(text):
            return None
        named = item.name or None
        return Case(
            number,
            text,
            named if form.contaminated else None,
            form.name,
            spans[0][0],
            spans[-1][1],
            host.name,
            self.half,
            None if form.contaminated or form.source == "held_out" else named,
            (item.name,) if form.contaminated or form.source == "held_out" else (),
            spans,
        )

    def _topic_cases(self, form: Form, count: int) -> list[Case]:
        hosts = [*self.hosts, *self.long_hosts]
        texts = [host.text for host in hosts]
        cases: list[Case] = []
        for item, piece in matches(self.evaluated, texts, self.bench.pool, NEAR_RUN, self.seed, form.name):
            host = hosts[piece.host]
            start = len(host.text[: piece.start].encode())
            end = start + len(host.text[piece.start : piece.end].encode())
            cases.append(
                Case(len(cases), host.text, None, form.name, start, end, host.name, self.half, item.name, (),
                     ((start, end),))
            )  # fmt: skip
            if len(cases) == count:
                break
        return cases


def _read_hosts(hosts: pa.Table, half: str) -> list[Host]:
    missing = [name for name in ("id", "text", "url") if name not in hosts.column_names]
    if missing:
        raise SchemaError(f"scorecard: the host documents lack the columns {', '.join(missing)}")
    found = []
    for row in hosts.select(["id", "text", "url"]).to_pylist():
        name, text = str(row["id"]), row["text"] or ""
        if has_host(half, row["url"] or "", name):
            size = len(text.split())
            if HOST_WORDS[0] <= size <= LONG_HOST_WORDS:
                found.append(Host(name, text, size))
    found.sort(key=lambda host: host.name)
    return [host for at, host in enumerate(found) if not at or found[at - 1].name != host.name]


def make_cases(
    bench: Bench,
    hosts: pa.Table,
    half: str,
    *,
    per_form: int = 200,
    seed: int = 0,
    forms: Iterable[str] | None = None,
    quotations: Sequence[str] = (),
) -> list[Case]:
    """`per_form` cases of each form for one half, plants first; fewer of a form whose items or hosts run out.

    hosts: documents with `id, text, url`. `forms` limits the forms; `quotations` are added to the built-in ones.
    Raises ConfigError for an unknown form or half."""
    named = list(FORMS if forms is None else forms)
    for name in named:
        if name not in FORMS:
            raise ConfigError(f"scorecard: there is no form {name!r}{nearest(name, FORMS)}")
    shop = Workshop(bench, hosts, half, seed=seed, quotations=quotations)
    return [case for name in named for case in shop.make(FORMS[name], per_form)]


def shortfalls(cases: Iterable[Case], per_form: int, forms: Iterable[str] = FORMS) -> dict[str, int]:
    """Forms with fewer cases than asked for, and how many they have."""
    counts = Counter(case.form for case in cases)
    return {name: counts[name] for name in forms if counts[name] < per_form}


def cases_table(cases: Sequence[Case]) -> pa.Table:
    """The cases as documents: `id` (the case's name), `text`, `url` (made up), and what is known of each."""
    return pa.table(
        {
            "id": pa.array([case.name for case in cases], pa.string()),
            "text": pa.array([case.text for case in cases], pa.large_string()),
            "url": pa.array([f"https://scorecard.invalid/{case.name}" for case in cases], pa.large_string()),
            "form": pa.array([case.form for case in cases], pa.string()),
            "half": pa.array([case.half for case in cases], pa.string()),
            "host": pa.array([case.host for case in cases], pa.string()),
            "item": pa.array([case.item for case in cases], pa.string()),
            "near": pa.array([case.near for case in cases], pa.string()),
            "carries": pa.array([list(case.carries) for case in cases], pa.list_(pa.string())),
            "contaminated": pa.array([FORMS[case.form].contaminated for case in cases], pa.bool_()),
            "expected": pa.array([FORMS[case.form].expected for case in cases], pa.string()),
            "start": pa.array([case.start for case in cases], pa.int64()),
            "end": pa.array([case.end for case in cases], pa.int64()),
        }
    )
