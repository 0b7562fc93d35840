"""Public IP addresses: IANA's special-purpose registries say which are not.

IPv4: https://www.iana.org/assignments/iana-ipv4-special-registry (and 224.0.0.0/4, multicast; 240.0.0.0/4).
IPv6: only 2000::/3 is allocated as global unicast, less https://www.iana.org/assignments/iana-ipv6-special-registry.
Python's `ipaddress.is_global` holds both registries.

Version and section numbers have the same shape. The rule: four numbers are no address if a word for a version or
a section, or a product name with `/`, stands right before them; and if they look like one (all below 32, or the
first below 32 and two of the others below 10) they are an address only after a word for addresses or in a URL.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from .text import Hit, words

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(
    rf"\d(?<![A-Za-z0-9_\u00AA-\u058F.,\-].)\d{{0,2}}\.(?:{_OCTET}\.){{2}}{_OCTET}(?![A-Za-z0-9_\u00AA-\u058F]|\.\d|,\d|-[A-Za-z]|\.[A-Za-z])"
)
_MULTICAST = ipaddress.IPv4Address("224.0.0.0")
_IPV6 = re.compile(
    r"[23](?<![A-Za-z0-9_\u00AA-\u058F:.].)[0-9a-fA-F]{3}:[0-9a-fA-F:]{1,40}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![A-Za-z0-9_\u00AA-\u058F:])"
)
_VERSION = re.compile(
    r"(?:(?<![^\W\d_])(?:v|ver|vers|version|versión|versione|versie|versão|версия|verze|wersja|sürüm|release|rel|"
    r"build|firmware|fw|driver|patch|update|revision|rev|section|sections|sec|chapter|ch|clause|appendix|annex|figure|"
    r"fig|table|abschnitt|kapitel|section|sección|paragraph|par|item|oid|theorem|lemma|equation|eq|exercise|rule|"
    r"kısım|bölüm|раздел|глава|розділ|sezione|capitolo|seção|capítulo|afsnit|avsnitt|hoofdstuk|"
    r"oddíl|kapitola|część|rozdział|apartado)"
    r"s?\.?\s{0,2}[:=#(]?\s{0,2}|版本|バージョン|버전|第|§+\s?|[A-Za-z]/)\Z",
    re.I,
)
_ADDRESS = words(
    "ip", "ipv4", "address", "host", "server", "dns", "ping", "nameserver", "gateway", "adresse", "dirección",
    "endereço", "indirizzo", "adres", "адрес", "сервер", "from", "connect", "telnet", "ssh", "resolver", "proxy",
    "whois", "tracert", "traceroute", "地址", "アドレス", "주소", "服务器", "العنوان", "عنوان", "כתובת", "http",
    "ftp", "listen", "bind", "client", "remote", "peer", "route", "router", "firewall", "subnet",
)  # fmt: skip


def ipv4(text: str) -> Iterator[Hit]:
    """Public IPv4 addresses of a folded text."""
    for found in _IPV4.finditer(text):
        try:
            address = ipaddress.IPv4Address(found.group())
        except ValueError:  # a first number above 255 or with a leading zero
            continue
        if not address.is_global or address >= _MULTICAST:
            continue
        start = found.start()
        left = text[max(0, start - 40) : start]
        if _VERSION.search(left) and not left.endswith("//"):
            continue
        a, b, c, d = (int(part) for part in found.group().split("."))
        likely_version = max(a, b, c, d) < 32 or (a < 32 and sum(x < 10 for x in (b, c, d)) >= 2)
        if likely_version and not (
            _ADDRESS.search(left[-20:].rsplit("\n", 1)[-1].lower()) or left.endswith(("//", "@"))
        ):
            continue
        yield Hit(start, found.end(), "ip", "v4")


def ipv6(text: str) -> Iterator[Hit]:
    """Public IPv6 addresses of a folded text."""
    for found in _IPV6.finditer(text):
        written = found.group().rstrip(":") if not found.group().endswith("::") else found.group()
        if written.count(":") == 8 and "::" not in written:
            written = written.rsplit(":", 1)[0]  # a port
        try:
            address = ipaddress.IPv6Address(written)
        except ValueError:
            continue
        if address.is_global:
            yield Hit(found.start(), found.start() + len(written), "ip", "v6")
