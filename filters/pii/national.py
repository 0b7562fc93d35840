"""National ids with structure and check digits: one table row a kind of number, with its specification.

`free` is a written form that stands alone; every other form counts only with one of `words` in the 64
characters before it, since one check digit in ten (or none) proves nothing about a run of digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import national_checks as check
from .text import Hit, before, words

_IN, _OUT = r"(?<![A-Za-z0-9_\u00AA-\u058F.,/+=#\-])", r"(?![A-Za-z0-9_\u00AA-\u058F]|[.,/\-]\d)"


@dataclass(frozen=True)
class NationalId:
    """A kind of number. The patterns' matches, without separators and upper case, go through `holds`."""

    name: str
    source: str
    holds: Callable[[str], bool]
    pattern: str  # with a word nearby
    words: tuple[str, ...]
    free: str = ""  # without

    def compiled(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None, re.Pattern[str] | None]:
        """(pattern, words, free), compiled."""
        return (
            re.compile(_IN + f"(?:{self.pattern})" + _OUT) if self.pattern else None,
            words(*self.words) if self.words else None,
            re.compile(_IN + f"(?:{self.free})" + _OUT) if self.free else None,
        )


NATIONAL_IDS = (
    NationalId(
        "us_ssn",
        "SSA, Social Security number randomization, 2011",
        check.us_ssn,
        r"\d{3}([ -]?)\d{2}\1\d{4}",
        ("ssn", "social security", "soc sec", "ss#", "social sec", "número de seguro social"),
    ),
    NationalId(
        "uk_nino",
        "HMRC manual NIM39110",
        check.uk_nino,
        r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        ("national insurance", "nino", "ni no", "ni number", "n.i. n"),
        r"[A-Z]{2} \d{2} \d{2} \d{2} [A-D]",
    ),
    NationalId("uk_nhs", "NHS Data Dictionary, NHS number", check.uk_nhs, r"\d{3}([ -]?)\d{3}\1\d{4}", ("nhs",)),
    NationalId(
        "de_tax_id",
        "§ 139b AO; ISO 7064 MOD 11,10",
        check.de_tax_id,
        r"\d{11}|\d{2} \d{3} \d{3} \d{3}",
        (
            "steuer-id",
            "steuerid",
            "steuerliche id",
            "steueridentifikation",
            "identifikationsnummer",
            "idnr",
            "tin",
            "tax id",
        ),
    ),
    NationalId(
        "de_id_card",
        "BSI TR-03127; ICAO Doc 9303",
        check.de_id_card,
        r"[CFGHJKLMNPRTVWXYZ0-9]{9}\d",
        ("personalausweis", "ausweisnummer", "ausweis-nr", "ausweisnr", "reisepass", "id card", "identity card"),
    ),
    NationalId(
        "fr_nir",
        "INSEE, NIR; key 97 - n mod 97",
        check.fr_nir,
        "",
        (),
        r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
    ),
    NationalId(
        "es_dni",
        "Real Decreto 1553/2005; letter by n mod 23",
        check.es_dni,
        r"\d{8}[ -]?[A-Z]|\d{2}\.\d{3}\.\d{3}[ -]?[A-Z]",
        ("dni", "d.n.i", "nif", "n.i.f", "documento nacional", "identidad", "cédula"),
    ),
    NationalId(
        "es_nie",
        "Orden INT/2058/2008; letter by n mod 23",
        check.es_nie,
        r"[XYZ][ -]?\d{7}[ -]?[A-Z]",
        ("nie", "n.i.e", "nif", "extranjer", "identidad"),
    ),
    NationalId(
        "it_codice_fiscale",
        "Decreto MEF 23 dicembre 1976",
        check.it_codice_fiscale,
        "",
        (),
        r"[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]|"
        r"[A-Z]{3} [A-Z]{3} [0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2} [A-Z][0-9LMNP-V]{3}[A-Z]",
    ),
    NationalId(
        "nl_bsn",
        "Wabb, elfproef",
        check.nl_bsn,
        r"\d{9}|\d{4}[. ]\d{2}[. ]\d{3}|\d{3}[. ]\d{3}[. ]\d{3}",
        ("bsn", "burgerservice", "sofinummer", "sofi-nummer", "sofi nummer"),
    ),
    NationalId(
        "be_rrn",
        "Koninklijk besluit 3 april 1984; mod 97",
        check.be_rrn,
        r"\d{11}",
        ("rijksregister", "registre national", "insz", "niss", "national number"),
        r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}",
    ),
    NationalId(
        "ch_ahv",
        "BSV, AHV-Nummer (NAVS13); EAN-13 check",
        check.ch_ahv,
        r"756\d{10}",
        ("ahv", "avs", "sozialversicherung", "assurance sociale"),
        r"756\.\d{4}\.\d{4}\.\d{2}",
    ),
    NationalId("pl_pesel", "Ustawa o ewidencji ludności; weights 1 3 7 9", check.pl_pesel, r"\d{11}", ("pesel",)),
    NationalId(
        "pt_nif",
        "Decreto-Lei 14/2013; mod 11",
        check.pt_nif,
        r"[1-356]\d{8}|[1-356]\d{2}([ .])\d{3}\1\d{3}",
        ("nif", "contribuinte", "n.i.f"),
    ),
    NationalId("ro_cnp", "Legea 105/1996; mod 11", check.ro_cnp, r"[1-9]\d{12}", ("cnp", "cod numeric personal")),
    NationalId("bg_egn", "ЗГР, ЕГН; mod 11", check.bg_egn, r"\d{10}", ("егн", "egn", "единен граждански")),
    NationalId(
        "cz_birth_number",
        "Zákon 133/2000 Sb.; mod 11",
        check.cz_birth_number,
        r"\d{6}/?\d{4}",
        ("rodné číslo", "rodné č", "rodne cislo", "r.č", "rč"),
    ),
    NationalId("hr_oib", "Zakon o OIB; ISO 7064 MOD 11,10", check.hr_oib, r"\d{11}", ("oib",)),
    NationalId(
        "se_personnummer",
        "Skatteverket SKV 704; Luhn",
        check.se_personnummer,
        r"(?:19|20)?\d{6}[-+]?\d{4}",
        ("personnummer", "personnr", "pers.nr", "pnr", "personal identity", "person-nr"),
    ),
    NationalId(
        "no_fodselsnummer",
        "Skatteetaten; two mod 11 checks",
        check.no_fodselsnummer,
        r"\d{6} ?\d{5}",
        ("fødselsnummer", "fødselsnr", "personnummer", "fnr", "personnr"),
    ),
    NationalId(
        "dk_cpr", "CPR-kontoret; date (no check since 2007)", check.dk_cpr, r"\d{6}-?\d{4}", ("cpr", "personnummer")
    ),
    NationalId(
        "fi_hetu", "Digi- ja väestötietovirasto; mod 31", check.fi_hetu, "", (), r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]"
    ),
    NationalId(
        "tr_kimlik",
        "NVİ, T.C. kimlik numarası",
        check.tr_kimlik,
        r"[1-9]\d{10}",
        ("kimlik", "tckn", "t.c. no", "tc no", "tc kim", "t.c. kim"),
    ),
    NationalId(
        "za_id",
        "Home Affairs, Act 68 of 1997; Luhn",
        check.za_id,
        r"\d{13}|\d{6} \d{4} \d{3}",
        ("id number", "id no", "identity n", "south african id", "sa id", "identiteitsnommer", "identity document"),
    ),
    NationalId(
        "br_cpf",
        "Receita Federal, IN RFB 1548/2015; two mod 11 checks",
        check.br_cpf,
        r"\d{11}",
        ("cpf",),
        r"\d{3}\.\d{3}\.\d{3}-\d{2}",
    ),
    NationalId(
        "br_cnpj",
        "Receita Federal; two mod 11 checks",
        check.br_cnpj,
        r"\d{14}",
        ("cnpj",),
        r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}",
    ),
    NationalId("ar_cuit", "AFIP, CUIT/CUIL; mod 11", check.ar_cuit, r"\d{2}-?\d{8}-?\d", ("cuit", "cuil")),
    NationalId(
        "cl_rut",
        "Ley 17.344, RUT; mod 11",
        check.cl_rut,
        r"\d{7,8}-[\dKk]|\d{1,2}\.\d{3}\.\d{3}-[\dKk]",
        ("rut", "r.u.t", "run ", "rol único", "cédula"),
    ),
    NationalId(
        "mx_curp",
        "RENAPO, CURP; base 37 check",
        check.mx_curp,
        "",
        (),
        r"[A-Z]{4}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[A-Z0-9]\d",
    ),
    NationalId(
        "ca_sin",
        "Service Canada, SIN; Luhn",
        check.ca_sin,
        r"\d{3}([ -]?)\d{3}\1\d{3}",
        ("sin", "social insurance", "assurance sociale", "nas"),
    ),
    NationalId("au_tfn", "ATO, tax file number; mod 11", check.au_tfn, r"\d{3} ?\d{3} ?\d{3}", ("tfn", "tax file")),
    NationalId(
        "cn_resident_id", "GB 11643-1999; ISO 7064 MOD 11-2", check.cn_resident_id, "", (), r"[1-9]\d{16}[\dXx]"
    ),
    NationalId(
        "tw_id",
        "內政部; letter and mod 10",
        check.tw_id,
        r"[A-Z][1289]\d{8}",
        ("身分證", "身份證", "身分証", "national id", "統一編號", "居留證"),
    ),
    NationalId(
        "hk_id",
        "Immigration Department; mod 11",
        check.hk_id,
        r"[A-Z]{1,2}\d{6} ?\([\dA]\)",
        ("身份證", "hkid", "identity card", "身份证", "id card"),
    ),
    NationalId(
        "jp_my_number",
        "番号法施行令; mod 11",
        check.jp_my_number,
        r"\d{12}|\d{4}([ -])\d{4}\1\d{4}",
        ("マイナンバー", "個人番号", "my number"),
    ),
    NationalId(
        "kr_rrn",
        "주민등록법; weights 2-9, 2-5 mod 11 (none from October 2020)",
        check.kr_rrn_dated,
        r"\d{6}-?[1-8]\d{6}",
        ("주민등록", "주민번호", "resident registration", "rrn"),
        r"\d{6}-[1-8]\d{6}",
    ),
    NationalId(
        "in_aadhaar",
        "UIDAI; Verhoeff",
        check.in_aadhaar,
        r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}",
        ("aadhaar", "aadhar", "adhaar", "uidai", "आधार", "ஆதார்", "ఆధార్", "আধার", "આધાર"),
    ),
    NationalId(
        "sg_nric",
        "ICA, NRIC/FIN; letter by mod 11",
        check.sg_nric,
        r"[STFG]\d{7}[A-Z]",
        ("nric", "fin ", "fin:", "ic no", "identity card", "ic number"),
    ),
    NationalId(
        "il_id",
        "Population Registry; Luhn over nine digits",
        check.il_id,
        r"\d{9}",
        ("ת.ז", "ת״ז", 'ת"ז', "תעודת זהות", "מספר זהות", "teudat zehut", "israeli id"),
    ),
    NationalId(
        "ru_snils",
        "Закон 27-ФЗ, СНИЛС; mod 101",
        check.ru_snils,
        r"\d{11}",
        ("снилс", "snils"),
        r"\d{3}-\d{3}-\d{3}[ -]\d{2}",
    ),
    NationalId("ru_inn", "ФНС, ИНН физического лица; two mod 11 checks", check.ru_inn, r"\d{12}", ("инн",)),
)
_SHORT = 4  # letters: shorter words count only whole ("sin", "tin"), longer ones also as beginnings
_TOKEN = re.compile(r"[^\W\d_]+")


def _near() -> list[tuple[NationalId, re.Pattern[str], re.Pattern[str], frozenset[str], tuple[str, ...]]]:
    """(id, pattern, its words as a pattern, those that are whole tokens, the others) for ids that need a word."""
    out = []
    for one in NATIONAL_IDS:
        pattern, near, _ = one.compiled()
        if pattern and near:
            whole = frozenset(w for w in one.words if w.isascii() and w.isalpha() and len(w) <= _SHORT)
            out.append((one, pattern, near, whole, tuple(w for w in one.words if w not in whole)))
    return out


_NEAR = _near()
_WHOLE = frozenset(word for row in _NEAR for word in row[3])
_OTHERS = tuple(sorted({word for row in _NEAR for word in row[4]}))
_FREE = [(one, one.compiled()[2]) for one in NATIONAL_IDS if one.free]
_FREE_MAYBE = re.compile(  # where a free form may begin; the first character apart, so that the search can skip
    r"[0-9A-Z](?<![A-Za-z0-9_\u00AA-\u058F.,/+=#\-].)(?:\d\d\.\d{3}\.\d{3}-\d|\d\.\d{3}\.\d{3}/|\d\.\d\d\.\d\d-|56\.\d|"
    r"\d{5}[-+A-FU-Y]\d{3}| ?\d\d ?\d\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d|\d{16}|[A-Z]{5}\w\w[A-T]|"
    r"[A-Z]{2} [A-Z]{3} \w|[A-Z]{3}\d{6}|[A-Z] \d\d \d\d |\d\d-\d{3}-\d{3}[ -])"
)
_PRODUCTS = re.compile(r"(?:isbn|issn|ean|gtin|order|tracking|art\.?|sku|serial)[^\n]{0,12}\Z")


_NEAR_MAYBE = re.compile(  # where a number that needs a word may begin
    r"[0-9A-Z](?<![A-Za-z0-9_\u00AA-\u058F.,/+=#\-].)(?:[A-Z]?(?:[ .\-/(]?\d){6}|[0-9A-Z]{9}(?![0-9A-Z]))"
)


def _contexts(text: str) -> str:
    """What stands in front of each number that may be an id, lower case; no more than the whole text."""
    parts: list[str] = []
    done = 0
    for maybe in _NEAR_MAYBE.finditer(text):
        at = maybe.start()
        parts.append(text[max(done, at - 64) : at])
        done = max(done, at - 32)
    return "\n".join(parts).lower()


def national_ids(text: str) -> Iterator[Hit]:
    """National ids of a folded text; hits of several kinds may overlap."""
    lower = _contexts(text)
    given = _WHOLE.intersection(_TOKEN.findall(lower)).union([word for word in _OTHERS if word in lower])
    for one, pattern, near, whole, others in _NEAR if given else ():
        if given.isdisjoint(whole) and given.isdisjoint(others):
            continue
        for found in pattern.finditer(text):
            if near.search(before(text, found.start(), 64)) and one.holds(_bare(found.group())):
                yield Hit(found.start(), found.end(), "national_id", one.name)
    for maybe in _FREE_MAYBE.finditer(text):
        for one, free in _FREE:
            written = free.match(text, maybe.start()) if free else None
            if written:
                holds = check.kr_rrn if one.name == "kr_rrn" else one.holds
                if holds(_bare(written.group())) and not _PRODUCTS.search(before(text, written.start(), 24)):
                    yield Hit(written.start(), written.end(), "national_id", one.name)


def _bare(written: str) -> str:
    """Letters and digits, upper case."""
    return "".join(c for c in written if c.isalnum()).upper()
