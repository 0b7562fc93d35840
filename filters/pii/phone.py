"""Telephone numbers: international (`+` and a country code of ITU-T E.164), North American, French pairs,
and any national form right after a word for telephones.

Without such a word only forms that hardly anything else has are taken: `+CC ...`, `(212) 555-0100`,
`212-555-0100`, `01 23 45 67 89`. Seven-digit local numbers are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .text import Hit, before, digits, words

_ASSIGNED = (
    "1 7 20 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 "
    "241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 "
    "27 290 291 297 298 299 30 31 32 33 34 350 351 352 353 354 355 356 357 358 359 36 370 371 372 373 374 375 376 377 "
    "378 380 381 382 383 385 386 387 389 39 40 41 420 421 423 43 44 45 46 47 48 49 500 501 502 503 504 505 506 507 508 "
    "509 51 52 53 54 55 56 57 58 590 591 592 593 594 595 596 597 598 599 60 61 62 63 64 65 66 670 672 673 674 675 676 "
    "677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 81 82 84 850 852 853 855 856 86 870 878 880 "
    "881 882 883 886 888 90 91 92 93 94 95 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 98 "
    "992 993 994 995 996 998"
)
_CODES = frozenset(_ASSIGNED.split())
"""Country codes in use: ITU-T E.164, list of assigned country codes (2016) with later changes."""
_PLUS = re.compile(r"(?<![A-Za-z0-9_\u00AA-\u058F+=/.,])\+(?=[ (]?\d)[\d ().\-/]{7,30}")
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?!\d)")  # an IP address
_STEP = re.compile(r"\d+|[ .\-/()]+")
_NANP = re.compile(
    r"[(1-9](?<![A-Za-z0-9_\u00AA-\u058F.\-/+$€£#=,:%].)"
    r"(?:(?<=1)[ .\-]\(?[2-9])?(?:(?<=\()[2-9])?"
    r"\d\d(?:\)[ \-]?[2-9]\d\d[ .\-]|(?:[ .\-/]|/ )[2-9]\d\d[.\-])"
    r"\d{4}(?![A-Za-z0-9_\u00AA-\u058F%]|[.\-,/:]\d)"
)
_PAIRS = re.compile(
    r"0(?<![A-Za-z0-9_\u00AA-\u058F.,/+\-$€].)(?<!\d .)[1-79]([ .])(?:\d\d\1){3}\d\d"
    r"(?![A-Za-z0-9_\u00AA-\u058F%]|[ .,\-/]\d)"
)
_ANY = re.compile(r"[(0-9](?<![A-Za-z0-9_\u00AA-\u058F.,/+$€£#=(].)[\d ().\-/]{6,20}\d(?![A-Za-z0-9_\u00AA-\u058F])")
_WORD = (
    r"(?<![^\W\d_])(?:tel|tele|telephone|telefon\w{0,8}|téléphone|tél|teléfonos?|telefono|telefone|telef|telefoon(?:nummer)?|"
    r"tlf|puh|puhelin|phones?|phone number|call|call us(?: at| on)?|mobile|mob|cell|handy|mobil|móvil|celular|portable|"
    r"fax|telefax|whatsapp|sms|hotline|ph|gsm|тел|телефон|факс|моб|τηλ|τηλέφωνο)"
)
_WORDS_BEFORE = re.compile(
    rf"(?:{_WORD}|电话|電話|手机|手機|传真|傳真|热线|전화|휴대폰|팩스|携帯|هاتف|جوال|تلفن|טלפון|טל|फोन|โทร)"
    r"['\w]?[\s.:：#)\]/|\u200e\u200f-]{0,8}(?:(?:no|nr|number|num|№|n°|号码|番号|번호)?[\s.:：#]{0,4})?"
    r"(?:[\d ().\-/+]{7,18}(?:[,;/|]|or|und|et|oder|y)\s?)?\(?\Z",
    re.I,
)
_STEMS = (
    "tel", "tél", "phone", "fax", "call", "mob", "móv", "cel", "handy", "tlf", "puh", "portable", "whatsapp", "sms",
    "hotline", "ph", "gsm", "тел", "факс", "моб", "τηλ", "电话", "電話", "手机", "手機", "传真", "傳真", "热线", "전화",
    "휴대폰", "팩스", "携帯", "هاتف", "جوال", "تلفن", "טל", "फोन", "โทร",
)  # fmt: skip
_NOT_PHONES = words(
    "isbn", "issn", "order", "invoice", "tracking", "patent", "sku", "part", "serial", "model", "version", "doi",
    "zip", "plz", "case", "docket", "item", "article", "cusip", "ssn", "ein", "file",
)  # fmt: skip


def phones(text: str) -> Iterator[Hit]:
    """Phone numbers of a folded text; hits may overlap."""
    for found in _PLUS.finditer(text):
        end = _international(found.group())
        if end and not text[found.start() + end : found.start() + end + 1].isalnum():
            yield Hit(found.start(), found.start() + end, "phone", "international")
    for found in _NANP.finditer(text):
        area = digits(found.group())[-10:]
        if not _NOT_PHONES.search(before(text, found.start(), 24)) and _north_american(area):
            yield Hit(found.start(), found.end(), "phone", "nanp")
    for found in _PAIRS.finditer(text):
        yield Hit(found.start(), found.end(), "phone", "fr")
    lower = text.lower()
    stems = [stem for stem in _STEMS if stem in lower]
    for found in _ANY.finditer(text) if stems else ():
        left = text[max(0, found.start() - 64) : found.start()]
        near = left.lower()
        if any(stem in near for stem in stems) and _WORDS_BEFORE.search(left):
            size = _national(found.group())
            if size:
                yield Hit(found.start(), found.start() + size, "phone", "national")


def _north_american(number: str) -> bool:
    """NANPA: area code [2-9][0-8]x, exchange [2-9]xx, neither N11."""
    return number[1] != "9" and number[1:3] != "11" and number[4:6] != "11" and len(set(number)) > 2


def _international(written: str) -> int:
    """How many characters from `+` on are one number, 0 for none."""
    number, best, position, depth = "", 0, 1, 0
    for step in _STEP.finditer(written, 1):
        part = step.group()
        if part[0].isdigit():
            if len(number) + len(part) > 15 or (_complete(number) and len(part) == 4 and part[:2] in ("19", "20")):
                break
            number += part
            position = step.end()
            if depth <= 0 and _complete(number):
                best = position
        else:
            depth += part.count("(") - part.count(")")
            if len(part) > 3 or "  " in part or depth < 0 or ("(" in part and len(number) > 6):
                break
    return best


def _complete(number: str) -> bool:
    """Whether digits are a country code and a national number of plausible length."""
    code = next((number[:n] for n in (1, 2, 3) if number[:n] in _CODES), "")
    rest = number[len(code) :]
    if not code or rest.startswith("000") or len(set(rest)) < 3:
        return False
    if code == "1":
        return len(rest) == 10 and rest[0] in "23456789" and rest[3] in "23456789"
    if code in ("7", "33", "34", "48", "86", "91", "90"):
        rest = rest.lstrip("0")
        return (
            len(rest)
            in {"7": (10,), "33": (9,), "34": (9,), "48": (9,), "86": (9, 10, 11), "91": (10,), "90": (10,)}[code]
        )
    return 7 <= len(rest) <= 13 if len(code) > 1 else False


def _national(written: str) -> int:
    """How many characters from the first on are one number after a word for telephones, 0 for none."""
    if _QUAD.match(written):
        return 0
    number, best, depth = "", 0, 0
    groups: list[str] = []
    for step in _STEP.finditer(written):
        part = step.group()
        if part[0].isdigit():
            if len(number) + len(part) > 12:
                break
            number += part
            groups.append(part)
            if depth <= 0 and len(number) >= 7:
                best = step.end()
        else:
            depth += part.count("(") - part.count(")")
            if len(part) > 3 or "  " in part or depth < 0:
                break
    years = len(groups) >= 1 and all(len(g) == 4 and g[:2] in ("19", "20") for g in groups)
    date = [len(g) for g in groups] in ([4, 2, 2], [2, 2, 4], [1, 1, 4], [2, 1, 4], [1, 2, 4])
    return 0 if years or date or len(set(number)) < 3 else best
