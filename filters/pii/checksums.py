"""Check digits. Each function takes the number without separators and says whether its checks hold."""

from __future__ import annotations

from collections.abc import Sequence


def luhn(number: str) -> bool:
    """Luhn's sum, ISO/IEC 7812-1 annex B."""
    total = 0
    for i, c in enumerate(reversed(number)):
        d = int(c)
        total += d if i % 2 == 0 else d * 2 - 9 * (d > 4)
    return total % 10 == 0


def weighted(number: str, weights: Sequence[int]) -> int:
    """Sum of digits times weights."""
    return sum(int(c) * w for c, w in zip(number, weights, strict=True))


def mod97(number: str) -> bool:
    """ISO 7064 MOD 97-10 over digits and letters (A = 10), the first four characters moved to the end: IBAN."""
    moved = number[4:] + number[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def mod11_10(number: str) -> bool:
    """ISO 7064 MOD 11,10: German tax number, Croatian OIB."""
    product = 10
    for c in number[:-1]:
        total = (int(c) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[-1])


def mod11_2(number: str) -> bool:
    """ISO 7064 MOD 11-2 with X for 10: Chinese resident number (GB 11643)."""
    total = 0
    for c in number:
        total = (total * 2 + (10 if c in "Xx" else int(c))) % 11
    return total == 1


_DIHEDRAL = tuple(
    tuple((a + b) % 5 + 5 * (b > 4) if a < 5 else (a - b) % 5 + 5 * (b < 5) for b in range(10)) for a in range(10)
)
_PERMUTE = [tuple(range(10)), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)]
for _ in range(6):
    _PERMUTE.append(tuple(_PERMUTE[1][d] for d in _PERMUTE[-1]))


def verhoeff(number: str) -> bool:
    """Verhoeff's dihedral check (Mathematical Centre Tracts 29, 1969): Aadhaar."""
    state = 0
    for i, c in enumerate(reversed(number)):
        d = _PERMUTE[i % 8][int(c)]
        state = _DIHEDRAL[state][d]
    return state == 0


def icao(number: str) -> bool:
    """ICAO Doc 9303 part 3, 4.9: weights 7, 3, 1, letters from A = 10; the last digit checks."""
    total = sum(int(c, 36) * (7, 3, 1)[i % 3] for i, c in enumerate(number[:-1]))
    return total % 10 == int(number[-1], 36)


def day(year: int, month: int, of_month: int) -> bool:
    """Whether a date is in the calendar; years of two digits may mean any century."""
    if not 1 <= month <= 12 or of_month < 1:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0 or year < 100)
    return of_month <= (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def yymmdd(number: str) -> bool:
    """Whether the first six digits are a year, a month and a day."""
    return day(int(number[:2]), int(number[2:4]), int(number[4:6]))


def ddmmyy(number: str) -> bool:
    """Whether the first six digits are a day, a month and a year."""
    return day(int(number[4:6]), int(number[2:4]), int(number[:2]))
