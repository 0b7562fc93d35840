"""Which of a page's titles is its own, and where the site's name begins."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r"\s+(?:[|\-–—·•:»«›~]|::|//)\s+|\s*[|｜»]\s*|(?<=\S)\s?[_](?=\S)\s?|:\s+(?=[^:]{1,40}$)")
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> frozenset[str]:
    """Its words, casefolded; single characters where a script has no spaces."""
    found = _WORD.findall(text[:500].casefold())
    if len(found) <= 2 and any(c > "\u2e80" for c in text[:500]):
        return frozenset(c for word in found for c in word)
    return frozenset(found)


def compact(text: str) -> str:
    """Only its letters and digits, casefolded."""
    return "".join(_WORD.findall(text[:500].casefold()))


def overlap(a: str, b: str) -> float:
    """Shared words over those of the shorter text."""
    one, two = words(a), words(b)
    return len(one & two) / min(len(one), len(two)) if one and two else 0.0


def is_site(text: str, sites: list[str], host: str) -> bool:
    """Whether a text is the site's name: as the page gives it, or as its host's name spells it."""
    bare = compact(text)
    if not bare:
        return True
    labels = [label for label in host.casefold().split(".")[:-1] if len(label) > 2 and label != "www"]
    if any(bare == compact(site) for site in sites):
        return True
    spelt = "".join(labels).replace("-", "")
    if len(bare) > 2 and (bare in (label.replace("-", "") for label in labels) or bare == spelt):
        return True
    label = labels[-1].replace("-", "") if labels else ""
    if bare == compact(host.removeprefix("www.")):
        return True
    return len(label) > 3 and (bare.startswith(label) or bare.endswith(label)) and len(text.split()) <= 6


def strip_site(title: str, sites: list[str], host: str, agreeing: list[str]) -> str:
    """The title without the site's name (or sections) before or after a separator.

    A part goes if it is the site's name, or if what remains is what a heading or another title says in full.
    """
    full = {compact(other) for other in agreeing}
    for _ in range(3):
        cuts = list(_SEPARATOR.finditer(title))
        cuts = cuts[:4] + cuts[4:][-4:]
        if not cuts:
            break
        shorter = None
        for cut in (*cuts[::-1], cuts[0]):
            before, after = title[: cut.start()].strip(), title[cut.end() :].strip()
            for kept, gone in ((before, after), (after, before)):
                bare = compact(kept)
                if not bare:
                    continue
                said = bare in full and not is_site(kept, sites, host)
                if said or (is_site(gone, sites, host) and (gone is after or cut is cuts[0])):
                    shorter = kept
                    break
            if shorter:
                break
        if not shorter or shorter == title:
            break
        title = shorter
    return title


def choose(stated: list[str], shared: bool, headings: list[str], sites: list[str], host: str) -> str | None:
    """The title of the page: the heading that its stated titles agree with, else the stated one without the site.

    `stated`: the page's titles, the best first; `shared`: one of them is more than `<title>`, which on its own
    yields to a single heading. `headings`: texts of its h1, in order.
    """
    own = [h for h in headings if not is_site(h, sites, host)]
    if own and stated:
        best = max(own, key=lambda h: max(overlap(h, t) for t in stated))
        if max(overlap(best, t) for t in stated) >= 0.5 or (not shared and len({compact(h) for h in headings}) == 1):
            return best
    elif len(own) == 1:
        return own[0]
    if not stated:
        return headings[0] if headings else None
    stripped = [strip_site(t, sites, host, [o for o in stated if o != t] + headings) for t in stated]
    return next((t for t in stripped if not is_site(t, sites, host)), stripped[0])
