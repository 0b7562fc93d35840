"""What stages there are, from the classes themselves: for `gristmill filters`, `gristmill stages`, docs/filters.md."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

from .errors import ConfigError, nearest
from .stage import Editor, Filter, registered
from .steps import registered_steps

KINDS = ("filter", "editor", "stage")
_PLURALS = {"filter": "Filters", "editor": "Editors", "stage": "Other stages"}


def entry(cls: type) -> dict[str, Any]:
    """All that is known of a stage or a global step, as plain JSON."""
    doc = inspect.getdoc(cls) or ""
    kind = "stage"
    if cls in registered_steps().values():
        kind = "step"
    elif issubclass(cls, Filter):
        kind = "filter"
    elif issubclass(cls, Editor):
        kind = "editor"
    return {
        "name": cls.name,  # type: ignore[attr-defined]
        "kind": kind,
        "version": cls.version,  # type: ignore[attr-defined]
        "summary": doc.split("\n")[0],
        "doc": doc,
        "reads": list(_declared(cls, "reads")),
        "adds": list(_declared(cls, "adds")),
        "removes": list(_declared(cls, "removes")),
        "score_column": _declared(cls, "score_column") or None,
        "rules": [dataclasses.asdict(rule) for rule in _declared(cls, "rules")],
        "sources": list(_declared(cls, "sources")),
        "options": [
            {"name": f.name, "default": _default(f), "help": f.metadata.get("help", "")}
            for f in dataclasses.fields(cls)
        ],
    }


def _declared(cls: type, name: str) -> Any:
    """A class variable; of one that depends on the options (a property), the value with the default options."""
    value = getattr(cls, name, ())
    if not isinstance(value, property):
        return value
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    needed = [
        f for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.init
    ]
    return () if needed else getattr(cls(), name)


def _default(option: Any) -> Any:
    if option.default is not dataclasses.MISSING:
        value = option.default
    elif option.default_factory is not dataclasses.MISSING:
        value = option.default_factory()
    else:
        return None
    return list(value) if isinstance(value, tuple) else value


def entries(name: str | None = None, *, steps: bool = False) -> list[dict[str, Any]]:
    """Entries of all stages (`steps`: and global steps), or of one. Raises ConfigError naming the nearest."""
    known: dict[str, type] = {**registered(), **(registered_steps() if steps else {})}
    if name is not None and name not in known:
        what = "stage or step" if steps else "filter"
        raise ConfigError(f"no {what} is called '{name}'{nearest(name, known)}")
    return [entry(cls) for key, cls in known.items() if name in (None, key)]


def default_text(option: dict[str, Any]) -> str:
    """An option's default as JSON."""
    return json.dumps(option["default"], ensure_ascii=False, default=str)


def rule_text(rule: dict[str, Any], options: list[dict[str, Any]], column: str | None) -> str:
    """`words >= min_words (50)`."""
    default = next((o["default"] for o in options if o["name"] == rule["option"]), None)
    shown = "off" if default is None else json.dumps(default)
    return f"{rule['measure'] or column} {rule['keep']} {rule['option']} ({shown})"


def lines(entry_: dict[str, Any], *, full: bool) -> list[str]:
    """One entry as `gristmill stages` prints it."""
    out = [f"{entry_['name']}: {entry_['doc'] if full else entry_['summary']}"]
    for option in entry_["options"]:
        default = tuple(option["default"]) if isinstance(option["default"], list) else option["default"]
        out.append(f"    {option['name']} = {default!r}" + (f"  {option['help']}" if option["help"] else ""))
    return out


def markdown() -> str:
    """The page docs/filters.md."""
    all_entries = entries()
    out = [
        "# Filters, editors and other stages",
        "",
        "This page is made from the code by `make docs`; change the classes, not the page. A *filter* scores",
        "documents and then decides by its rules: a document is kept where every rule holds, and the first rule that",
        "fails is the reason of the drop. An *editor* gives new text and says which spans it took.",
        "`gristmill filters NAME` shows one of them; `gristmill inspect RUN` shows what they did in a run.",
    ]
    for kind in KINDS:
        chosen = [e for e in all_entries if e["kind"] == kind]
        if not chosen:
            continue
        out += ["", f"## {_PLURALS[kind]}", "", "| name | what it does | score |", "| --- | --- | --- |"]
        out += [
            f"| [{e['name']}](#{_anchor(e['name'])}) | {_cell(e['summary'])} | {_code(e['score_column'])} |"
            for e in chosen
        ]
        for e in chosen:
            out += ["", *_page_entry(e)]
    return "\n".join(out) + "\n"


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _page_entry(e: dict[str, Any]) -> list[str]:
    out = [f"### {e['name']}", "", e["doc"], ""]
    out.append(f"Version {e['version']}; reads {_codes(e['reads'])}, adds {_codes(e['adds'])}.")
    if e["rules"]:
        out += ["", "Kept where (in this order, with the default thresholds):", ""]
        out += [f"- `{rule_text(rule, e['options'], e['score_column'])}`" for rule in e["rules"]]
    if e["sources"]:
        out += ["", "Sources:", ""]
        out += [f"- {source}" for source in e["sources"]]
    if e["options"]:
        out += ["", "| option | default | meaning |", "| --- | --- | --- |"]
        out += [f"| `{o['name']}` | {_code(default_text(o))} | {_cell(o['help'])} |" for o in e["options"]]
    return out


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str | None) -> str:
    return f"`{_cell(text)}`" if text else ""


def _codes(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
