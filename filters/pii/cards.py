"""Payment cards (ISO/IEC 7812-1: issuer ranges, lengths, Luhn) and IBANs (ISO 13616: lengths, MOD 97-10).

Issuer ranges as the schemes publish them. A bare run of digits that passes Luhn by chance is told apart by
what stands before it: words for orders, parcels, books and articles, or a path or parameter of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .checksums import luhn, mod97
from .text import Hit, before, digits, words

_RANGES = (  # lowest and highest prefix, lengths
    ("4", "4", (16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "659", (16, 19)),
    ("300", "305", (14,)),  # Diners Club
    ("36", "36", (14,)),
    ("38", "39", (14, 16)),
    ("3528", "3589", (16,)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("81", "82", (16,)),  # RuPay
    ("60", "60", (16,)),
    ("2200", "2204", (16,)),  # Mir
)
_WITH_WORD = (("4", "4", (13,)), ("50", "50", (12, 13, 14, 15, 16, 19)), ("56", "69", (12, 13, 14, 15, 16, 19)))
"""Old Visa and Maestro: only after a word for cards, since their shapes are those of EAN and order numbers."""
_CARD = re.compile(
    r"\d(?<![A-Za-z0-9_\u00AA-\u058F.,/=_+\-].)"
    r"(?:\d{11,18}|\d{3}([ -]|\n)(?:\d{4}\1){2}\d{4}(?:\1\d{3})?|\d{3}([ -])\d{6}\2\d{4,5})"
    r"(?![A-Za-z0-9_\u00AA-\u058F]|[,/=_]\d|\.\d|[ \-]\d{4}(?!\d))"
)
_CARD_WORDS = words(
    "card", "visa", "mastercard", "maestro", "amex", "american express", "credit", "debit", "karte", "kreditkart",
    "carte", "tarjeta", "carta", "cartão", "kaart", "karta", "карта", "kort", "kart", "卡", "カード", "카드", "بطاقة",
    "כרטיס",
)  # fmt: skip
_OTHER_WORDS = words(
    "order", "tracking", "track", "invoice", "isbn", "ean", "upc", "gtin", "sku", "serial", "imei", "iccid", "doi",
    "bestell", "sendung", "rechnung", "auftrag", "commande", "facture", "pedido", "factura", "ordine", "fattura",
    "bestelling", "zamówien", "заказ", "parcel", "shipment", "ticket", "ref", "item", "article", "artikel", "product",
    "barcode", "patent", "account", "konto", "id", "uuid", "hash", "订单", "单号", "注文", "주문", "asin", "part",
    "model", "case", "docket", "pmid", "phone", "tel", "timestamp", "post", "status", "tweet", "user",
)  # fmt: skip

_REGISTRY = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
    "YE30"
)
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _REGISTRY.split()}
"""Characters of an IBAN by country: SWIFT's IBAN registry (ISO 13616-2), release 99."""
_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?=[ \-\n]?[A-Z0-9])")
_IBAN_REST = re.compile(r"(?:[ \-\n]?[A-Z0-9]){11,30}")


def _issued(number: str, ranges: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bool:
    return any(low <= number[: len(low)] <= high and len(number) in lengths for low, high, lengths in ranges)


def cards(text: str) -> Iterator[Hit]:
    """Card numbers of a folded text."""
    for found in _CARD.finditer(text):
        number = digits(found.group())
        if not luhn(number) or len(set(number)) == 1:
            continue
        left = before(text, found.start(), 48)
        card = _last(_CARD_WORDS, left)
        if _issued(number, _RANGES):
            if _last(_OTHER_WORDS, left) > card:
                continue
        elif card < 0 or not _issued(number, _WITH_WORD) or _last(_OTHER_WORDS, left) > card:
            continue
        yield Hit(found.start(), found.end(), "card")


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Where the last match begins, -1 for none."""
    return max((found.start() for found in pattern.finditer(text)), default=-1)


def ibans(text: str) -> Iterator[Hit]:
    """IBANs of a folded text, in groups or not."""
    for found in _IBAN.finditer(text):
        size = IBAN_LENGTHS.get(found.group()[:2])
        rest = _IBAN_REST.match(text, found.end(), found.end() + 64)
        if size is None or rest is None:
            continue
        end, left = found.end(), size - 4
        while left and end < rest.end():
            left -= text[end].isalnum()
            end += 1
        if left or (end < len(text) and text[end].isalnum() and text[end].isascii() and not text[end].islower()):
            continue
        written = "".join(c for c in text[found.start() : end] if c.isalnum())
        if mod97(written):
            yield Hit(found.start(), end, "iban", written[:2].lower())
