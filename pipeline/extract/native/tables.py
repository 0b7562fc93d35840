"""Constant tables of the scanner: tags and their kinds, character references, character classes, stop words.

Sources: tag kinds and character references, HTML Living Standard (the references as Python's `html.entities`
has them); the stop words are our own choice of the commonest short function words of 24 languages.
"""

from __future__ import annotations

import html.entities

import numpy as np

# fmt: off
_BLOCK = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure "
    "footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li listing main menu nav noframes "
    "noscript ol optgroup option p plaintext pre search section select summary table tbody td tfoot th thead tr ul "
    "button textarea template video audio canvas object iframe xmp"
)
_VOID = "area base basefont bgsound br col embed frame img input keygen link meta param source track wbr"
_INLINE = (
    "a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd label map mark marquee math "
    "meter nobr output picture progress q rp rt ruby s samp script slot small span strike strong style sub sup svg "
    "time title tt u var colgroup noembed annotation semantics mrow mi mo mn ms mtext msup msub msubsup mfrac msqrt "
    "mroot munder mover munderover mtable mtr mtd mstyle mfenced"
)
# fmt: on
TAGS = ("", *_BLOCK.split(), *_VOID.split(), *_INLINE.split(), "hr_void", "foreignobject")
"""Names by tag id; 0 is any tag that is not in the list."""

TAG = {name: number for number, name in enumerate(TAGS)}

BLOCK, VOID, RAW, BARRIER, NO_P, HEADING = 1, 2, 4, 8, 16, 32


def _kinds() -> np.ndarray:
    kinds = np.zeros(len(TAGS), np.int32)
    for name in _BLOCK.split():
        kinds[TAG[name]] |= BLOCK | NO_P
    for name in [
        "option",
        "optgroup",
        "select",
        "button",
        "textarea",
        "noscript",
        "object",
        "canvas",
        "video",
        "audio",
        "iframe",
        "template",
    ]:
        kinds[TAG[name]] &= ~NO_P  # these don't end an open paragraph
    for name in [*_VOID.split(), "hr"]:
        kinds[TAG[name]] |= VOID
    for name in ["script", "style", "xmp", "iframe", "noembed", "textarea", "title"]:
        kinds[TAG[name]] |= RAW
    for name in ["table", "td", "th", "caption", "button", "template", "object", "html", "select"]:
        kinds[TAG[name]] |= BARRIER
    for name in ["h1", "h2", "h3", "h4", "h5", "h6"]:
        kinds[TAG[name]] |= HEADING
    return kinds


TAG_KINDS = _kinds()
"""int32[tags]: BLOCK breaks the text, VOID has no content, RAW holds no markup, BARRIER stops the search for an
open element, NO_P ends an open paragraph, HEADING."""

_HASH_SLOTS = 1024


def name_hash(name: bytes) -> int:
    """FNV-1a, 32 bit; the scanner computes the same over lower-cased bytes."""
    value = 0x811C9DC5
    for byte in name:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def _tag_table() -> tuple[np.ndarray, np.ndarray]:
    keys = np.zeros(_HASH_SLOTS, np.uint32)
    ids = np.zeros(_HASH_SLOTS, np.uint8)
    aliases = {"image": "img", "listing": "pre", "plaintext": "pre"}
    for number, name in enumerate(TAGS):
        if not name:
            continue
        key = name_hash(name.encode())
        slot = key % _HASH_SLOTS
        while keys[slot]:
            slot = (slot + 1) % _HASH_SLOTS
        keys[slot] = key
        ids[slot] = TAG[aliases[name]] if name in aliases else number
    return keys, ids


TAG_KEYS, TAG_IDS = _tag_table()

_ENTITY_SLOTS = 8192


def _entity_table() -> tuple[np.ndarray, np.ndarray]:
    keys = np.zeros(_ENTITY_SLOTS, np.uint32)
    points = np.zeros((_ENTITY_SLOTS, 2), np.uint32)
    for name, text in html.entities.html5.items():
        key = name_hash(name.encode())
        slot = key % _ENTITY_SLOTS
        while keys[slot]:
            if keys[slot] == key:
                raise AssertionError(f"two references hash alike: {name}")
            slot = (slot + 1) % _ENTITY_SLOTS
        keys[slot] = key
        points[slot, 0] = ord(text[0])
        points[slot, 1] = ord(text[1]) if len(text) > 1 else 0
    return keys, points


ENTITY_KEYS, ENTITY_POINTS = _entity_table()
"""Open addressing by `name_hash` of the name with its semicolon, if it has one; two code points each."""

MAX_ENTITY_NAME = max(map(len, html.entities.html5))

SPACE, LOWER, UPPER, DIGIT, STOP, COMMA, LT, AMP, WIDE, CONTROL, OTHER = range(11)


def _classes() -> np.ndarray:
    table = np.full(256, OTHER, np.uint8)
    table[:32] = CONTROL
    table[127] = CONTROL
    for byte in b"\t\n\x0b\x0c\r ":
        table[byte] = SPACE
    table[ord("a") : ord("z") + 1] = LOWER
    table[ord("A") : ord("Z") + 1] = UPPER
    table[ord("0") : ord("9") + 1] = DIGIT
    for byte in b".!?":
        table[byte] = STOP
    for byte in b",;:":
        table[byte] = COMMA
    table[ord("<")] = LT
    table[ord("&")] = AMP
    table[128:] = WIDE
    return table


CLASSES = _classes()
"""uint8[256]: class of a byte of text."""

SPACELESS = 16
DROPPED, PARTING, APOSTROPHE = 11, 12, 13
_OTHER_RANGES = (
    (0xA1, 0xC0), (0xD7, 0xD8), (0xF7, 0xF8), (0x37E, 0x37F), (0x2000, 0x2C00), (0x3000, 0x3040), (0xE000, 0xF900),
    (0xFE30, 0xFE70), (0xFF00, 0xFF10), (0xFF1A, 0xFF21), (0xFF3B, 0xFF41), (0xFF5B, 0xFF66),
)  # fmt: skip
_SPACELESS_RANGES = ((0xE00, 0x10A0), (0x1780, 0x1800), (0x3005, 0x3006), (0x3040, 0xA000), (0xF900, 0xFB00))
_SPACES = (0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
_STOPS = (0x61F, 0x6D4, 0x964, 0x965, 0x1362, 0x2026, 0x203C, 0x203D, 0x3002, 0xFF01, 0xFF0E, 0xFF1F, 0xFF61)
_COMMAS = (0x60C, 0x61B, 0x3001, 0xFF0C, 0xFF1A, 0xFF1B, 0xFF64)


def _wide_classes() -> tuple[np.ndarray, np.ndarray]:
    table = np.full(0x10000, LOWER, np.uint8)
    for first, end in _OTHER_RANGES:
        table[first:end] = OTHER
    for first, end in _SPACELESS_RANGES:
        table[first:end] = LOWER | SPACELESS
    table[[0xAA, 0xB5, 0xBA, 0x200C, 0x200D]] = LOWER
    table[list(_SPACES)] = SPACE
    table[list(_STOPS)] = STOP
    table[list(_COMMAS)] = COMMA
    table[0xFF10:0xFF1A] = DIGIT
    table[:0xA0] = DROPPED
    table[[0xAD, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFE, 0xFFFF]] = DROPPED
    table[0xD800:0xE000] = DROPPED
    table[0x200B] = PARTING
    table[0x2019] = APOSTROPHE
    high = np.full(0x200, LOWER, np.uint8)
    high[0x1F] = OTHER
    high[0x20:0x40] = LOWER | SPACELESS
    return table, high


WIDE_CLASSES, HIGH_CLASSES = _wide_classes()
"""uint8: class of a code point from 128 on; those beyond 0xFFFF by the point >> 12.

SPACELESS is set for letters of scripts that part no words by spaces. DROPPED leaves no trace in the text;
PARTING is the zero-width space, which parts words in such scripts only; APOSTROPHE a letter inside a word.
"""

WINDOWS_1252 = np.array(
    [ord(bytes([b]).decode("cp1252", "replace")) if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else b
     for b in range(0x80, 0xA0)], np.uint32
)  # fmt: skip
"""Numeric references 128 to 159 mean these, by the standard."""

# fmt: off
_STOP_WORDS = """
the and of to in a is that for it with as was on be by at from this are or have not but you his they an we her
she he had were been has their which will would there what all if who can more when so no out up about into them
der die das und ist in den von zu mit sich auf für im dem nicht ein eine als auch es an werden aus er hat dass sie nach
wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man wurde sei
le la les de des et un une est que qui dans pour pas sur au avec ce il par plus ne se son sont cette aux du en ou mais
comme nous vous leur ses fait elle été el los las y por con una su para es al lo como más pero sus o este sin sobre
entre cuando muy hay desde ya era fue también no me se ha il di che è della per con non sono del dei nel alla più anche
gli ma come da una o e os as do da em um uma não para com mais foi ao pelo pela seu sua ou já são het een van en
dat niet te voor zijn met aan er om hij ook maar naar bij door nog wordt uit deze dan was heeft og av til på som med
ikke det att är för inte den jag men om var har hans från ett ja on että ei se oli mutta kuin hän w i na z nie do
się jest że o jak co po za od ale przez dla tym są już tak czy być lub jego oraz a v se je že s to si
jsem pro nebo by byl které ako som sa aj pri az egy hogy és nem meg is de ez volt csak már mint szerint în și să cu
pe din la nu mai care sau fost este ale bir ve bu için ile de da çok daha olarak gibi kadar olan и в не на что с по
это как он но из его за от к у так же для то все бы до мы вы они или был была если о та при αυτό και το να του η της με
που στο για από είναι τα τον την στην δεν θα οι των σε ο על של את לא הוא זה עם גם או كان في من على إلى أن هذا التي
الذي مع عن ما هو لا و dan yang di untuk dengan ini itu dari pada tidak akan oleh juga và của là có cho không được một
những các trong với này đã để và の は を に が で と も た का के की में है और से को पर
"""
# fmt: on
_STOP_SLOTS = 4096
MAX_STOP_BYTES = 12


def _stop_table() -> np.ndarray:
    keys = np.zeros(_STOP_SLOTS, np.uint32)
    for word in sorted(set(_STOP_WORDS.split())):
        data = word.encode()
        if len(data) > MAX_STOP_BYTES:
            continue
        key = name_hash(data)
        slot = key % _STOP_SLOTS
        while keys[slot] and keys[slot] != key:
            slot = (slot + 1) % _STOP_SLOTS
        keys[slot] = key
    return keys


STOP_WORDS = _stop_table()
"""Hashes of stop words of up to 12 bytes."""

ATTRIBUTES = (
    "class", "id", "role", "itemprop", "href", "alt", "type", "alttext", "style", "hidden", "aria-hidden", "dir",
    "shadowrootmode",
)  # fmt: skip
"""The attributes that the scanner reads. The first seven give it their values' ranges."""

MAX_ATTRIBUTE_NAME = 16


def _attribute_table() -> tuple[np.ndarray, np.ndarray]:
    slots = np.zeros(MAX_ATTRIBUTE_NAME * 32, np.uint8)
    names = np.zeros((len(ATTRIBUTES), MAX_ATTRIBUTE_NAME), np.uint8)
    for number, name in enumerate(ATTRIBUTES):
        slot = len(name) * 32 + (ord(name[0]) & 31)
        if slots[slot]:
            raise AssertionError(f"two attributes of one length and first letter: {name}")
        slots[slot] = number + 1
        names[number, : len(name)] = list(name.encode())
    return slots, names.reshape(-1)


ATTRIBUTE_SLOTS, ATTRIBUTE_NAMES = _attribute_table()
"""By length and first letter: number + 1 of the one attribute that it can be, 0 for none; and the names, padded."""
