"""Texts with known PII: (text, [(start, end, kind)]). Invented numbers with right checks; nobody's data.

Two sets of templates and seeds: `tune` was looked at while the finders were made, `report` only counted.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable

from filters.pii import national_checks as check
from filters.pii.checksums import luhn, mod97

Truth = list[tuple[int, int, str]]

FRAMES = {
    "email": {
        "tune": ["Contact: {}", "Write to {} for details.", "<a href=\"mailto:{}\">us</a>", "Schreiben Sie an {}, bitte.", "邮箱：{}，谢谢", "بريد: {} شكرا"],
        "report": ["({})", "E-mail {}; or ask at the desk", "Courriel : {}.", "メールは{}まで", "דוא\"ל {} תודה", "to:{}\ncc: none", "почта {}!", "“{}”"],
    },
    "ip": {
        "tune": ["Server at {} is down", "ping {}", "from {}:443 to the host", "Адрес {} закрыт"],
        "report": ["connected to {} on port 80", "http://{}/index", "[{}] GET / HTTP/1.1", "Die IP-Adresse {} antwortet", "الخادم {} لا يجيب", "blocked {}, sorry"],
    },
    "card": {
        "tune": ["Card: {}", "Visa {} exp 12/27", "Kreditkarte {} gültig", "卡号{}有效"],
        "report": ["My card number is {}.", "paid with {} yesterday", "Carte : {}\n", "номер карты {} до 2027", "クレジットカード {} です", "رقم البطاقة {} صالح"],
    },
    "iban": {
        "tune": ["IBAN: {}", "Konto {} bei der Bank"],
        "report": ["Virement vers {} avant lundi", "счёт {}", "overmaken naar {}.", "请汇款到{}。"],
    },
    "phone": {
        "tune": ["Tel: {}", "Call {} now", "Telefon {}"],
        "report": ["Phone {} (office)", "Tél. : {}", "电话：{}", "Fax {}\n", "тел. {}", "هاتف: {} "],
    },
    "key": {
        "tune": ["export KEY={}", "token: {}"],
        "report": ["password = \"{}\"", "Authorization: Bearer {}\n", "密钥 {} 请保密"],
    },
}  # fmt: skip
ID_FRAMES = {
    "us_ssn": ("SSN: {}", "social security number {} on file"), "uk_nhs": ("NHS number {}", "NHS no. {}"),
    "uk_nino": ("NI number {}", "national insurance: {}"), "de_tax_id": ("Steuer-ID {}", "Steueridentifikationsnummer: {}"),
    "fr_nir": ("n° {}", "sécurité sociale {}"), "es_dni": ("DNI {}", "con NIF: {}"), "nl_bsn": ("BSN {}", "burgerservicenummer {}"),
    "pl_pesel": ("PESEL {}", "nr PESEL: {}"), "br_cpf": ("CPF {}", "o CPF nº {}"), "cn_resident_id": ("身份证{}", "号码：{}，"),
    "kr_rrn": ("주민등록번호 {}", "번호 {} 입니다"), "in_aadhaar": ("Aadhaar {}", "आधार संख्या {}"),
    "se_personnummer": ("personnummer {}", "Personnr: {}"), "tr_kimlik": ("TC kimlik no {}", "T.C. Kimlik: {}"),
    "za_id": ("ID number {}", "SA ID: {}"), "ca_sin": ("SIN {}", "social insurance number {}"),
    "it_codice_fiscale": ("C.F. {}", "codice fiscale: {}"), "fi_hetu": ("hetu {}", "henkilötunnus {}"),
    "ru_snils": ("СНИЛС {}", "номер {} выдан"), "jp_my_number": ("マイナンバー {}", "個人番号：{}"),
}  # fmt: skip
NEGATIVES = {
    "tune": ["version 1.2.3.4", "git@github.com:org/repo.git", "icon@2x.png", "255.255.255.0", "192.168.1.1", "ISBN 978-3-16-148410-0", "section 4.5.6.7", "$1,234,567.89", "2012-03-12 10:30:45", "@mention me", "user@host", "com.google.guava:guava:31.1-jre", "react@16.8.0", "10 000 000 000", "1999-2003", "std::vector"],
    "report": ["v10.2.3.1", "ssh root@build.example.com", "hero@3x.webp", "Chrome/12.4.5.6", "10.0.0.8/8", "ISBN-13: 9780306406157", "EAN 4006381333931", "§ 3.2.1.4", "€ 12.345.678,90", "12.11.2019 08:15", "hg@bitbucket.org:team/x", "org.apache.commons:commons-lang3:3.12", "lodash@4.17.21", "127.0.0.1:8080", "12 345 678 901 t", "abc::def", "1 2 3 4 5 6 7 8 9 10 11 12 13", "224.0.0.251", "0.5.0.2", "fe80::1", "2001:db8::1", "firmware 7.88.3.21", "3.14159265358979", "order 4539578763621486", "tracking number 6011000990139424", "ID 1234567890123456", "2019-2020 2021-2022", "Lat 52.520008, Lon 13.404954", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "AKIAXXXXXXXXXXXXXXXX", "0x7fff5fbff8c0", "1:2:3:4", "p. 123-456-789"],
}  # fmt: skip
FILL = {
    "tune": ["The weather was fine in 2011.", "Es regnet seit 3 Tagen.", "Une phrase ordinaire.", "普通的一句话。"],
    "report": ["Prices rose 4.5 % last year.", "Das kostet 19,90 Euro.", "Обычное предложение.", "これは普通の文です。", "هذه جملة عادية.", "&nbsp;<br>", "Rooms: 12, 14 and 16."],
}  # fmt: skip


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(n))


def _solved(rng: random.Random, make: Callable[[], str], holds: Callable[[str], bool]) -> str:
    """Draws until the check holds."""
    while True:
        number = make()
        if holds(number):
            return number


def _date(rng: random.Random) -> str:
    return f"{rng.randint(40, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def email(rng: random.Random) -> str:
    """An address at a reserved example name."""
    name = rng.choice(["jo", "anna.meier", "x_y", "info", "a+b", "o.brien-smith", "user123", "J.Doe"])
    host = rng.choice(["example.com", "mail.example.org", "example.net", "foo-bar.example.co.uk", "example.de"])
    at = "＠" if rng.random() < 0.03 else "&#64;" if rng.random() < 0.03 else "@"
    return name + at + host


def ip(rng: random.Random) -> str:
    """An invented public address."""
    while True:
        if rng.random() < 0.25:
            text = ":".join(["2a02", *(f"{rng.randint(1, 65535):x}" for _ in range(7))])
            return text if rng.random() < 0.5 else ":".join(text.split(":")[:4]) + "::" + f"{rng.randint(1, 255):x}"
        text = ".".join(str(rng.randint(1, 223 if i == 0 else 254)) for i in range(4))
        if (
            ipaddress.ip_address(text).is_global
            and max(map(int, text.split("."))) > 31
            and int(text.split(".")[0]) > 31
        ):
            return text


def card(rng: random.Random) -> str:
    """A card number by issuer, bare or in groups, sometimes in full-width digits."""
    head, size = rng.choice([("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14), ("6212", 16)])  # fmt: skip
    number = _solved(rng, lambda: head + _digits(rng, size - len(head)), luhn)
    if size == 16 and rng.random() < 0.6:
        number = rng.choice([" ", "-"]).join(number[i : i + 4] for i in range(0, 16, 4))
    elif size == 15 and rng.random() < 0.5:
        number = f"{number[:4]} {number[4:10]} {number[10:]}"
    if rng.random() < 0.1:
        number = "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in number)
    return number


def iban(rng: random.Random) -> str:
    """An IBAN of five countries."""
    country, letters, size = rng.choice([("DE", "", 18), ("GB", "NWBK", 14), ("NL", "ABNA", 10), ("FR", "", 23), ("PL", "", 24)])  # fmt: skip
    body = letters + _digits(rng, size)
    key = next(f"{k:02d}" for k in range(2, 99) if mod97(f"{country}{k:02d}{body}"))
    text = country + key + body
    return text if rng.random() < 0.5 else " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def phone(rng: random.Random) -> str:
    """International and North American forms."""
    form = rng.choice(["+49 30 #######", "+44 20 7946 0###", "(212) 555-01##", "+1 415-555-01##", "+33 1 ## ## ## ##", "312-555-01##", "+86 138 0013 8###", "+7 495 ###-##-##"])  # fmt: skip
    return "".join(rng.choice("23456789") if c == "#" else c for c in form)


def key(rng: random.Random) -> str:
    """Tokens of five issuers."""
    word = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz0123456789"
    draw = lambda n, a=word: "".join(rng.choice(a) for _ in range(n))  # noqa: E731
    return rng.choice(
        [
            lambda: "AKIA" + draw(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
            lambda: "ghp_" + draw(36),
            lambda: "glpat-" + draw(20),
            lambda: "sk_live_" + draw(24),
            lambda: "SG." + draw(22) + "." + draw(43),
        ]
    )()


def national_id(rng: random.Random, name: str) -> str:
    """A number whose check holds, as people of the country write it."""
    holds = getattr(check, name)
    odd = "ABCDEFGHLMNPRSTUVZ"
    make: dict[str, Callable[[], str]] = {
        "us_ssn": lambda: _digits(rng, 9),
        "uk_nino": lambda: "".join(rng.choice("ABCEGHJKLM") for _ in "ab") + _digits(rng, 6) + rng.choice("ABCD"),
        "fr_nir": lambda: "1" + _date(rng)[:4] + "75" + _digits(rng, 8),
        "es_dni": lambda: _digits(rng, 8) + rng.choice("TRWAGMYFPDXBNJZSQVHLCKE"),
        "cn_resident_id": lambda: "110105" + "19" + _date(rng) + _digits(rng, 4),
        "kr_rrn": lambda: _date(rng) + "1" + _digits(rng, 6),
        "in_aadhaar": lambda: rng.choice("23456789") + _digits(rng, 11),
        "se_personnummer": lambda: _date(rng) + _digits(rng, 4),
        "tr_kimlik": lambda: rng.choice("123456789") + _digits(rng, 10),
        "za_id": lambda: _date(rng) + _digits(rng, 4) + "08" + _digits(rng, 1),
        "it_codice_fiscale": lambda: "".join(rng.choice(odd) for _ in range(6)) + _digits(rng, 2) + "A" + "1" + _digits(rng, 1) + "H" + _digits(rng, 3) + rng.choice(odd),
        "fi_hetu": lambda: f"{rng.randint(1, 28):02d}{rng.randint(1, 12):02d}{_digits(rng, 2)}A{_digits(rng, 3)}{rng.choice('0123456789ABCDEFHJKLMNPRSTUVWXY')}",
    }  # fmt: skip
    sizes = {
        "de_tax_id": 11,
        "nl_bsn": 9,
        "pl_pesel": 11,
        "br_cpf": 11,
        "uk_nhs": 10,
        "ca_sin": 9,
        "ru_snils": 11,
        "jp_my_number": 12,
    }
    number = _solved(rng, make.get(name) or (lambda: _digits(rng, sizes[name])), holds)
    form = {"us_ssn": "###-##-####", "uk_nhs": "### ### ####", "br_cpf": "###.###.###-##", "kr_rrn": "######-#######", "in_aadhaar": "#### #### ####", "se_personnummer": "######-####", "ca_sin": "### ### ###", "ru_snils": "###-###-### ##", "uk_nino": "## ## ## ## #"}.get(name)  # fmt: skip
    if not form:
        return number
    left = iter(number)
    return "".join(next(left) if c == "#" else c for c in form)


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "email": email, "ip": ip, "card": card, "iban": iban, "phone": phone, "key": key,
}  # fmt: skip


def documents(part: str, seed: int, n: int) -> list[tuple[str, Truth]]:
    """`n` documents of a part (`tune`, `report`): hits and false friends among ordinary sentences."""
    rng = random.Random(f"{part}{seed}")
    out = []
    for _ in range(n):
        text, truth = "", []
        for _ in range(rng.randint(3, 9)):
            draw = rng.random()
            if draw < 0.45:
                kind = rng.choice([*MAKERS, "national_id"])
                if kind == "national_id":
                    name = rng.choice(sorted(ID_FRAMES))
                    value, frame = national_id(rng, name), ID_FRAMES[name][part == "report"]
                else:
                    value, frame = MAKERS[kind](rng), rng.choice(FRAMES[kind][part])
                head, tail = frame.split("{}")
                if ":" in value and kind == "ip" and (head.endswith("://") or tail[:1] == ":"):
                    head, tail = "host ", ""
                text += head
                truth.append((len(text), len(text) + len(value), kind))
                text += value + tail
            else:
                text += rng.choice(NEGATIVES[part] if draw < 0.75 else FILL[part])
            text += rng.choice([" \n", "\n", "\n\n", " ; "])
        out.append((text, truth))
    return out


def scores(
    part: str, seed: int, n: int, find: Callable[[str], list[tuple[int, int, str]]]
) -> dict[str, dict[str, float]]:
    """Precision and recall by kind; a hit counts only with the same ends."""
    right: dict[str, int] = {}
    found: dict[str, int] = {}
    there: dict[str, int] = {}
    for text, truth in documents(part, seed, n):
        hits = find(text)
        for kind in {t[2] for t in truth} | {h[2] for h in hits}:
            own, answer = {h for h in hits if h[2] == kind}, {t for t in truth if t[2] == kind}
            right[kind] = right.get(kind, 0) + len(own & answer)
            found[kind] = found.get(kind, 0) + len(own)
            there[kind] = there.get(kind, 0) + len(answer)
    return {
        k: {"precision": right[k] / max(1, found[k]), "recall": right[k] / max(1, there[k]), "n": there[k]}
        for k in sorted(there)
    }
