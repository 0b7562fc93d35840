"""Reservations against AI training, and the licence that a page states for itself.

Reads `url`, `record` (header values) and, unless `markup` is off, `payload` and `payload_kind`, so it stands before
`extract` in a recipe. Adds `consent` (list of {where, agent, says}), `license` (SPDX identifier, URL or `several`) and
`license_marks` (all marks: {where, license, href, level}; see `filters.markup.page` for what stands for the page).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from filters.markup import tdm
from filters.markup.robots import AI_AGENTS, DIRECTIVES, Directive, reserves
from pipeline.errors import ConfigError, nearest
from pipeline.stage import Filter, register
from pipeline.store import file_digest

CONSENT = pa.list_(pa.struct([("where", pa.string()), ("agent", pa.string()), ("says", pa.string())]))
LICENSE_MARKS = pa.list_(
    pa.struct([("where", pa.string()), ("license", pa.string()), ("href", pa.string()), ("level", pa.string())])
)


@register
@dataclass(frozen=True, kw_only=True)
class Consent(Filter):
    """Drops or marks pages whose headers or markup reserve them from AI training; finds their licence.

    A page goes if a chosen robots directive is addressed to everyone or to one of `agents` (reason: the directive), or
    if its most specific TDMRep statement (meta, then header, then file) is a reservation (reason: `tdm_reservation`).
    `noai`, `noimageai` and `noml` count whoever is addressed. By default `noimageai` only marks, since it speaks of
    images, and so do `noindex`, `none`, `noarchive` and the like, which speak of search.
    """

    name: ClassVar[str] = "consent"
    version: ClassVar[int] = 1
    adds: ClassVar[tuple[str, ...]] = ("license", "license_marks")
    score_column: ClassVar[str] = "consent"
    decides: ClassVar[tuple[str, ...]] = ("action", "directives", "agents", "tdm")
    sources: ClassVar[tuple[str, ...]] = (
        "TDM Reservation Protocol, W3C Community Group final report 2024; https://www.w3.org/community/reports/tdmrep/",
        "Google, robots meta tag and X-Robots-Tag specifications; "
        "https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag",
        "DeviantArt 2022, noai and noimageai; https://www.deviantart.com/team/journal/"
        "UPDATE-All-Deviations-Are-OptedOut-of-AI-Datasets-934500371",
        "WHATWG HTML, link type license; https://html.spec.whatwg.org/multipage/links.html#link-type-license",
        "RFC 8288, Web Linking; https://www.rfc-editor.org/rfc/rfc8288",
        "ccREL: The Creative Commons Rights Expression Language; https://www.w3.org/Submission/ccREL/",
        "schema.org/license; https://schema.org/license",
    )

    action: Literal["drop", "mark"] = field(default="drop", metadata={"help": "drop reserved pages, or only mark"})
    directives: tuple[str, ...] = field(
        default=("noai", "noml"), metadata={"help": f"robots directives that reserve, of: {', '.join(DIRECTIVES)}"}
    )
    agents: tuple[str, ...] = field(
        default=AI_AGENTS, metadata={"help": "crawlers that stand for AI training, beside everyone"}
    )
    tdm: bool = field(default=True, metadata={"help": "a TDM reservation reserves"})
    tdmrep_files: tuple[str, ...] = field(
        default=(), metadata={"help": "JSON files {host: rules} of sites' /.well-known/tdmrep.json"}
    )
    markup: bool = field(default=True, metadata={"help": "read the page too; false = the kept headers alone"})

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Without `markup` no payload is needed, so that it also runs on documents."""
        return ("url", "record", "payload", "payload_kind") if self.markup else ("url", "record")

    def check(self) -> None:
        """As `Stage.check`."""
        if self.action not in ("drop", "mark"):
            raise ConfigError(f"consent: action must be drop or mark, not {self.action!r}")
        for directive in self.directives:
            if directive not in DIRECTIVES:
                raise ConfigError(
                    f"consent: no directive is called {directive!r}{nearest(str(directive), DIRECTIVES)}; "
                    f"known: {', '.join(DIRECTIVES)}"
                )
        if not all(isinstance(one, str) and one.strip() for one in self.agents):
            raise ConfigError("consent: agents must be a list of user agent tokens")
        tdm.read_files(self.tdmrep_files)

    def config(self) -> dict[str, Any]:
        """The options; files enter by their content."""
        return {**super().config(), "tdmrep_files": [file_digest(Path(path)) for path in self.tdmrep_files]}

    def scored(self, docs: pa.Table) -> pa.Table:
        """As `Filter.scored`, with the licence columns."""
        if self.has_score(docs) and all(name in docs.column_names for name in self.adds):
            return docs
        docs = docs.drop_columns([c for c in (*self.adds, self.score_column) if c in docs.column_names])
        found = [self._read(*row) for row in self._rows(docs)]
        licenses = pa.array([one.license() for one in found], pa.string())
        marks = pa.array([[asdict(mark) for mark in one.marks] for one in found], LICENSE_MARKS)
        consent = pa.array([[asdict(one) for one in page.reservations] for page in found], CONSENT)
        docs = docs.append_column(self.score_field(self.score_column, CONSENT), consent)
        return docs.append_column("license", licenses).append_column("license_marks", marks)

    def score(self, docs: pa.Table) -> pa.ChunkedArray:
        """The reservations, `CONSENT`."""
        return self.scored(docs)[self.score_column]

    def _rows(self, docs: pa.Table) -> Any:
        empty = pa.nulls(docs.num_rows)
        payload, kind = (docs[c] if self.markup else empty for c in ("payload", "payload_kind"))
        return zip(docs["url"], docs["record"], payload, kind, strict=True)

    def _read(self, url: pa.Scalar, record: pa.Scalar, payload: pa.Scalar, kind: pa.Scalar) -> Any:
        from filters.markup.page import Findings, read_file_rule, read_headers, read_payload
        from filters.url import parse_url

        found = Findings()
        address, said = url.as_py(), record.as_py() or {}
        read_headers(found, said, address)
        if payload.is_valid and kind.as_py() != "text":
            read_payload(found, payload.as_py(), said.get("content_type"), address)
        parsed = parse_url(address) if self.tdmrep_files and address else None
        if parsed is not None:
            rules = tdm.read_files(self.tdmrep_files).get(parsed.host, [])
            rule = tdm.match_rule(rules, parsed.path)
            if rule is not None:
                read_file_rule(found, rule)
        return found

    def _reasons(self, consent: pa.Array | pa.ChunkedArray) -> list[str | None]:
        """Why each page is reserved from training, None where it is not."""
        chosen = frozenset(self.directives)
        agents = frozenset(agent.strip().lower() for agent in self.agents)
        out: list[str | None] = [None] * len(consent)
        some = pc.greater(pc.list_value_length(consent), 0)
        for i in pc.indices_nonzero(pc.fill_null(some, False)).to_pylist():
            said = consent[i].as_py()
            directive = next(
                (one for one in said if reserves(Directive(one["agent"], one["says"]), chosen, agents)), None
            )
            if directive is not None:
                out[i] = directive["says"]
            elif self.tdm and _reserved_by_tdm(said):
                out[i] = "tdm_reservation"
        return out

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array:
        """As `Filter.keep`."""
        if self.action == "mark":
            return pa.array([True] * len(score), pa.bool_())
        return pa.array([reason is None for reason in self._reasons(score)], pa.bool_())

    def reason(self, docs: pa.Table) -> pa.Array:
        """The directive, or `tdm_reservation`."""
        return pa.array(self._reasons(docs[self.score_column]), pa.string())


def _reserved_by_tdm(said: list[dict[str, str]]) -> bool:
    for where in tdm.PRIORITY:
        for one in said:
            if one["where"] == where and one["says"].startswith("tdm-reservation="):
                return one["says"].endswith("=1")
    return False
