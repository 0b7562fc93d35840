"""Words in `class`, `id`, `role` and `itemprop`: what authors call the parts of a page.

Values are cut at everything that is no letter and at a change from lower to upper case (`postBody`,
`post-body`); each word is looked up by hash for a kind (`KINDS`, our own grouping) and for a learnt weight
(log-odds of main content). An element gets its own sums and, by `paths`, those of its ancestors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel
from . import scan as s
from .tables import name_hash

# fmt: off
KINDS: dict[str, str] = {
    "comment": "comment comments disqus respond reply replies commentlist discussion kommentar kommentare commentaire "
               "comentario comentarios",
    "meta": "meta byline author date time posted published timestamp info dateline datum autor fecha pubdate data "
            "contributor credit credits writer",
    "related": "related recommended recommend recommendations more similar also popular trending latest recent "
               "suggested upsell crosssell crosssells carousel slider teaser teasers outbrain taboola next prev "
               "previous mehr readmore linked",
    "share": "share sharing social facebook twitter linkedin pinterest whatsapp addthis sharedaddy follow like likes",
    "consent": "cookie cookies consent gdpr privacy onetrust notice alert banner popup modal overlay lightbox toast",
    "ad": "ad ads advert advertisement adsense sponsor sponsored promo promotion promoted dfp gpt adslot werbung "
          "anzeige publicidad affiliate disclosure",
    "side": "sidebar side aside widget widgets rail secondary complementary column rightcol leftcol supplementary",
    "crumb": "breadcrumb breadcrumbs crumb crumbs path pathway",
    "menu": "menu nav navigation navbar topbar submenu dropdown megamenu navi hamburger drawer toolbar tabs pagination "
            "pager paging pages skip",
    "foot": "footer foot bottom copyright legal colophon contentinfo footnotes subfooter",
    "head": "header head masthead top logo brand branding",
    "content": "content article story entry body text main articlebody storybody maincontent richtext rte prose copy "
               "inhalt contenido contenu texte texto wysiwyg markdown postbody entrycontent",
    "post": "post posts message messages thread topic msg bbcode usertext postcontent answer question answers reply "
            "cooked forum posting",
    "review": "review reviews rating ratings stars testimonial testimonials feedback",
    "product": "product products price prices sku cart basket buy shop item items buybox variant swatch quantity stock "
               "shipping delivery add wishlist",
    "spec": "description desc details detail spec specs specification specifications features feature overview summary "
            "benefits highlights about excerpt intro lead abstract",
    "title": "title headline heading h1 subtitle name subhead kicker tagline caption",
    "tag": "tag tags category categories cat label labels topics keywords badge chip filed",
    "form": "form search login signin signup register subscribe newsletter email input field captcha contact filter "
            "filters facet facets sort",
    "card": "card cards grid tile tiles list listing results result row rows archive feed loop collection gallery",
    "code": "code highlight syntax pre snippet example codehilite sourcecode gist listing console terminal",
    "toc": "toc contents outline index jump anchor anchors permalink headerlink editsection edit",
    "user": "user profile avatar member username signature sig bio biography about rank badge reputation",
    "faq": "faq accordion collapse collapsible panel toggle tab tabpanel expandable section",
    "hero": "hero jumbotron cta button btn buttons action actions callout slogan",
    "hidden": "hidden hide screen sr visuallyhidden offscreen assistive tooltip noprint print invisible placeholder",
}
# fmt: on
KIND_NAMES = tuple(KINDS)
KIND_COUNT = len(KIND_NAMES)
FAR = 20
"""Distance, in levels, given to a kind that no ancestor has."""


class WordTable:
    """Hash table of words: a bit mask of kinds and a weight each."""

    def __init__(self, weights: dict[str, float]) -> None:
        kinds: dict[str, int] = {}
        for bit, words in enumerate(KINDS.values()):
            for word in words.split():
                kinds[word] = kinds.get(word, 0) | 1 << bit
        names = sorted(set(kinds) | set(weights))
        slots = 1024
        while slots < 3 * len(names):
            slots *= 2
        self.keys: NDArray[np.uint32] = np.zeros(slots, np.uint32)
        self.kinds: NDArray[np.int32] = np.zeros(slots, np.int32)
        self.weights: NDArray[np.float32] = np.zeros(slots, np.float32)
        for name in names:
            key = name_hash(name.encode())
            slot = key % slots
            while self.keys[slot] and self.keys[slot] != key:
                slot = (slot + 1) % slots
            self.keys[slot] = key
            self.kinds[slot] |= kinds.get(name, 0)
            self.weights[slot] = weights.get(name, 0.0)


@kernel
def paths(src, elements, keys, kinds, weights, distance, score):
    """Per element: levels to the nearest ancestor-or-self of each kind, and sums of word weights.

    distance: uint8[elements, KIND_COUNT]. score: float32[elements, 4]: the element's own sum, that of it and
    two levels above, that of all levels, the least own sum on the way up.
    """
    slots = len(keys)
    n_kinds = distance.shape[1]
    for e in range(len(elements)):
        row = elements[e]
        parent = row[s.PARENT]
        mask = 0
        own = np.float32(0)
        for span in range(4):
            start = row[s.CLASS0 + 2 * span]
            stop = min(row[s.CLASS0 + 2 * span + 1], start + 256)
            key = np.uint32(0x811C9DC5)
            length = 0
            lower = False
            for i in range(start, stop + 1):
                c = src[i] if i < stop else np.uint8(32)
                is_upper = 65 <= c <= 90
                is_lower = 97 <= c <= 122
                digit = 49 <= c <= 54 and length == 1 and src[i - 1] | 32 == 104  # h1 to h6
                if length > 0 and not digit and (not (is_upper or is_lower) or (is_upper and lower)):
                    if length > 1:
                        slot = key % slots
                        while keys[slot] != 0:
                            if keys[slot] == key:
                                mask |= kinds[slot]
                                own += weights[slot]
                                break
                            slot = (slot + 1) % slots
                    key = np.uint32(0x811C9DC5)
                    length = 0
                if is_upper or is_lower or digit:
                    key = np.uint32((key ^ (c if digit else c | 32)) * np.uint32(0x01000193))
                    length += 1
                lower = bool(is_lower)
        own = min(max(own, np.float32(-4)), np.float32(4))
        score[e, 0] = own
        if parent < 0:
            for k in range(n_kinds):
                distance[e, k] = FAR
            score[e, 1] = own
            score[e, 2] = own
            score[e, 3] = own
            continue
        for k in range(n_kinds):
            distance[e, k] = 0 if mask >> k & 1 else min(distance[parent, k] + 1, FAR)
        above = elements[parent, s.PARENT]
        score[e, 1] = own + score[parent, 0] + (score[above, 0] if above >= 0 else np.float32(0))
        score[e, 2] = own + score[parent, 2]
        score[e, 3] = min(own, score[parent, 3])


def split_words(value: bytes) -> list[str]:
    """The words of one attribute value as `paths` cuts them, in plain Python: used in training and tests."""
    found, word = [], ""
    lower = False
    for c in value[:256].decode("latin-1") + " ":
        is_upper, is_lower = "A" <= c <= "Z", "a" <= c <= "z"
        digit = "1" <= c <= "6" and word in ("h", "H")
        if word and not digit and (not (is_upper or is_lower) or (is_upper and lower)):
            if len(word) > 1:
                found.append(word.lower())
            word = ""
        if is_upper or is_lower or digit:
            word += c
        lower = is_lower
    return found
