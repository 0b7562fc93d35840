"""The checks of national ids, on letters and digits without separators; `national.py` names the specifications."""

from __future__ import annotations

from .checksums import day, ddmmyy, icao, luhn, mod11_2, mod11_10, verhoeff, weighted, yymmdd

hr_oib = mod11_10


def us_ssn(n: str) -> bool:
    """Area not 000, 666 or 9xx; group not 00; serial not 0000."""
    return n[:3] not in ("000", "666") and n[0] != "9" and n[3:5] != "00" and n[5:] != "0000"


def uk_nino(n: str) -> bool:
    """Prefixes that HMRC does not allot."""
    return n[0] not in "DFIQUV" and n[1] not in "DFIOQUV" and n[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def uk_nhs(n: str) -> bool:
    """Weights 10 to 2, mod 11."""
    return len(set(n)) > 1 and 11 - weighted(n[:9], range(10, 1, -1)) % 11 == (int(n[9]) or 11)


def de_tax_id(n: str) -> bool:
    """One digit of the first ten occurs twice or three times, not three in a row; MOD 11,10."""
    counts = sorted(n[:10].count(d) for d in set(n[:10]))
    return n[0] != "0" and counts[-1] in (2, 3) and counts.count(1) >= 7 and mod11_10(n)


def de_id_card(n: str) -> bool:
    """Weights 7, 3, 1."""
    return len(n) == 10 and n[0] in "CFGHJKLMNPRTVWXYZ" and icao(n)


def fr_nir(n: str) -> bool:
    """97 less the number mod 97; Corsica's 2A and 2B count as 19 and 18."""
    body = n[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and len(n) == 15 and 97 - int(body) % 97 == int(n[13:])


def es_dni(n: str) -> bool:
    """The letter by the number mod 23."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(n[:8]) % 23] == n[8]


def es_nie(n: str) -> bool:
    """As the DNI with X, Y, Z for 0, 1, 2."""
    return es_dni(str("XYZ".index(n[0])) + n[1:])


_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def it_codice_fiscale(n: str) -> bool:
    """Odd and even places by the decree's tables, mod 26."""
    total = 0
    for i, c in enumerate(n[:15]):
        value = int(c) if c.isdigit() else ord(c) - 65
        total += _ODD[value] if i % 2 == 0 else value
    return chr(65 + total % 26) == n[15]


def nl_bsn(n: str) -> bool:
    """Weights 9 to 2 and -1, mod 11."""
    return len(set(n)) > 1 and weighted(n, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def be_rrn(n: str) -> bool:
    """97 less the first nine digits (with a 2 in front for births from 2000) mod 97."""
    month, of_month = int(n[2:4]), int(n[4:6])
    checks = {97 - int(n[:9]) % 97, 97 - int("2" + n[:9]) % 97}
    return month <= 12 and of_month <= 31 and int(n[9:]) in checks


def ch_ahv(n: str) -> bool:
    """EAN-13."""
    return weighted(n, (1, 3) * 6 + (1,)) % 10 == 0


def pl_pesel(n: str) -> bool:
    """Date with the century in the month; weights 1 3 7 9."""
    month = int(n[2:4]) % 20
    return day(int(n[:2]), month, int(n[4:6])) and weighted(n, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def pt_nif(n: str) -> bool:
    """Weights 9 to 2, mod 11, 10 as 0."""
    rest = weighted(n[:8], range(9, 1, -1)) % 11
    return int(n[8]) == (0 if rest < 2 else 11 - rest)


def ro_cnp(n: str) -> bool:
    """Date; weights 279146358279 mod 11, 10 as 1."""
    rest = weighted(n[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return yymmdd(n[1:]) and int(n[12]) == (1 if rest == 10 else rest)


def bg_egn(n: str) -> bool:
    """Date with the century in the month; weights mod 11, 10 as 0."""
    month = int(n[2:4]) % 20
    rest = weighted(n[:9], (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11
    return day(int(n[:2]), month, int(n[4:6])) and int(n[9]) == rest % 10


def cz_birth_number(n: str) -> bool:
    """Date (women's months plus 50, or 20 more); divisible by 11."""
    month = int(n[2:4]) % 50
    return day(int(n[:2]), month - 20 if month > 20 else month, int(n[4:6])) and int(n) % 11 == 0


def se_personnummer(n: str) -> bool:
    """Date (day plus 60 for coordination numbers); Luhn over ten digits."""
    n = n[-10:]
    of_month = int(n[4:6])
    return day(int(n[:2]), int(n[2:4]), of_month - 60 if of_month > 60 else of_month) and luhn(n)


def no_fodselsnummer(n: str) -> bool:
    """Date (day plus 40 for D numbers); two checks mod 11."""
    first = int(n[:2])
    return (
        day(int(n[4:6]), int(n[2:4]) % 40, first - 40 if first > 40 else first)
        and weighted(n[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(n, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def dk_cpr(n: str) -> bool:
    """Date only."""
    return ddmmyy(n)


def fi_hetu(n: str) -> bool:
    """Date; the number mod 31 picks the last sign."""
    return ddmmyy(n) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(n[:6] + n[-4:-1]) % 31] == n[-1]


def tr_kimlik(n: str) -> bool:
    """Two check digits."""
    d = [int(c) for c in n]
    return (sum(d[0:9:2]) * 7 - sum(d[1:8:2])) % 10 == d[9] and sum(d[:10]) % 10 == d[10]


def za_id(n: str) -> bool:
    """Date, citizenship 0 to 2; Luhn."""
    return yymmdd(n) and n[10] in "012" and luhn(n)


def _mod11_pair(n: str, first: tuple[int, ...]) -> bool:
    """Brazil's two check digits: sum mod 11 taken from 11, ten and more as 0."""
    size = len(first)
    for k in (size, size + 1):
        weights = first if k == size else ((first[0] + 1) if size == 9 else 6, *first)
        rest = weighted(n[:k], weights) % 11
        if int(n[k]) != (0 if rest < 2 else 11 - rest):
            return False
    return len(set(n)) > 1


def br_cpf(n: str) -> bool:
    """Weights from 10 and from 11 down."""
    return _mod11_pair(n, (10, 9, 8, 7, 6, 5, 4, 3, 2))


def br_cnpj(n: str) -> bool:
    """Weights 5 to 2 and 9 to 2, then from 6."""
    return _mod11_pair(n, (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


def ar_cuit(n: str) -> bool:
    """Types 20 to 34; weights 5 to 2 and 7 to 2, mod 11."""
    rest = 11 - weighted(n[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return n[:2] in ("20", "23", "24", "25", "26", "27", "30", "33", "34") and int(n[10]) == {11: 0, 10: 9}.get(
        rest, rest
    )


def cl_rut(n: str) -> bool:
    """Weights 2 to 7 from the right, mod 11, K for 10."""
    total = sum(int(c) * (2 + i % 6) for i, c in enumerate(reversed(n[:-1])))
    return "0K987654321"[total % 11] == n[-1]


_CURP = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"


def mx_curp(n: str) -> bool:
    """Date; weights 18 to 2 over an alphabet of 37, mod 10."""
    total = sum(_CURP.index(c) * (18 - i) for i, c in enumerate(n[:17]))
    return yymmdd(n[4:10]) and (10 - total % 10) % 10 == int(n[17])


def ca_sin(n: str) -> bool:
    """Not 0 or 8 first; Luhn."""
    return n[0] not in "08" and luhn(n)


def au_tfn(n: str) -> bool:
    """Weights 1 4 3 7 5 8 6 9 10, mod 11."""
    return len(set(n)) > 1 and weighted(n, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


_PROVINCE_CODES = (
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
)
_PROVINCES = frozenset(_PROVINCE_CODES.split())


def cn_resident_id(n: str) -> bool:
    """Province (GB/T 2260), date of birth from 1800 on; MOD 11-2."""
    year = int(n[6:10])
    return n[:2] in _PROVINCES and 1800 <= year <= 2099 and day(year, int(n[10:12]), int(n[12:14])) and mod11_2(n)


def tw_id(n: str) -> bool:
    """The letter as two digits; weights 1, 9 to 1, 1."""
    code = 10 + "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(n[0])
    return (code // 10 + code % 10 * 9 + weighted(n[1:9], range(8, 0, -1)) + int(n[9])) % 10 == 0


def hk_id(n: str) -> bool:
    """Weights 9 to 1, letters from A = 10, a blank first letter as 36; mod 11."""
    values = [int(c, 36) for c in n]
    values = values if len(values) == 9 else [36, *values]
    return sum(v * w for v, w in zip(values, range(9, 0, -1), strict=True)) % 11 == 0


def jp_my_number(n: str) -> bool:
    """Weights 2 to 7 and 2 to 6 from the right, mod 11."""
    total = sum(int(c) * (i + 2 if i < 6 else i - 4) for i, c in enumerate(reversed(n[:11])))
    rest = total % 11
    return len(set(n)) > 1 and int(n[11]) == (0 if rest <= 1 else 11 - rest)


def kr_rrn_dated(n: str) -> bool:
    """Date and sex digit only: numbers from October 2020 on have no check."""
    return yymmdd(n)


def kr_rrn(n: str) -> bool:
    """Date; weights 2 to 9 and 2 to 5, mod 11."""
    return yymmdd(n) and (11 - weighted(n[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(n[12])


def in_aadhaar(n: str) -> bool:
    """Verhoeff; not the same backwards."""
    return n != n[::-1] and verhoeff(n)


def sg_nric(n: str) -> bool:
    """Weights 2 7 6 5 4 3 2, an offset of 4 for T and G; the letter by mod 11."""
    total = weighted(n[1:8], (2, 7, 6, 5, 4, 3, 2)) + 4 * (n[0] in "TG")
    return ("JZIHGFEDCBA" if n[0] in "ST" else "XWUTRQPNMLK")[total % 11] == n[8]


def il_id(n: str) -> bool:
    """Luhn over nine digits."""
    return len(set(n)) > 1 and luhn(n)


def ru_snils(n: str) -> bool:
    """Weights 9 to 1, mod 101, 100 as 0."""
    return len(set(n)) > 1 and weighted(n[:9], range(9, 0, -1)) % 101 % 100 == int(n[9:])


def ru_inn(n: str) -> bool:
    """Two check digits, mod 11 mod 10."""
    first = weighted(n[:10], (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = weighted(n[:11], (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return len(set(n)) > 1 and (first, second) == (int(n[10]), int(n[11]))
