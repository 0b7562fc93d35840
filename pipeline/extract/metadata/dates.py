"""Days of publication as pages write them: machine-readable, by month names of 21 languages, numeric.

No clock is read; the bound is the crawl's own date.
"""

from __future__ import annotations

import datetime
import re
import unicodedata

MIN_YEAR = 1990

# Month names, full and short, from January on; after a slash other forms (cases, spellings). Unicode CLDR 45.
_NAMES = {
    "en": "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug september/sep/sept october/oct"
    " november/nov december/dec",
    "de": "januar/janner/jän februar/feber märz/maerz/mrz april mai juni juli august september oktober/okt november"
    " dezember/dez",
    "fr": "janvier/janv février/févr mars avril/avr mai juin juillet/juil août septembre octobre novembre décembre/déc",
    "es": "enero/ene febrero marzo abril/abr mayo junio julio agosto/ago septiembre/setiembre/set octubre noviembre"
    " diciembre/dic",
    "it": "gennaio/gen febbraio marzo aprile maggio/mag giugno/giu luglio/lug agosto settembre ottobre/ott novembre"
    " dicembre",
    "pt": "janeiro fevereiro/fev março abril maio/mai junho julho agosto setembro outubro/out novembro dezembro",
    "nl": "januari februari maart/mrt april mei juni juli augustus september oktober november december",
    "pl": "stycznia/styczeń/sty lutego/luty/lut marca/marzec kwietnia/kwiecień/kwi maja/maj czerwca/czerwiec/cze"
    " lipca/lipiec/lip sierpnia/sierpień/sie września/wrzesień/wrz października/październik/paź listopada/listopad/lis"
    " grudnia/grudzień/gru",
    "cs": "ledna/leden února/únor března/březen dubna/duben května/květen června/červen července/červenec srpna/srpen"
    " září října/říjen listopadu/listopad prosince/prosinec",
    "ru": "января/январь/янв февраля/февраль/фев марта/март/мар апреля/апрель/апр мая/май июня/июнь/июн июля/июль/июл"
    " августа/август/авг сентября/сентябрь/сен/сент октября/октябрь/окт ноября/ноябрь/ноя/нояб декабря/декабрь/дек",
    "uk": "січня/січень лютого/лютий березня/березень квітня/квітень травня/травень червня/червень липня/липень"
    " серпня/серпень вересня/вересень жовтня/жовтень листопада/листопад грудня/грудень",
    "el": "ιανουαρίου/ιανουάριος/ιαν φεβρουαρίου/φεβρουάριος/φεβ μαρτίου/μάρτιος/μαρ απριλίου/απρίλιος/απρ μαΐου/μάιος"
    " ιουνίου/ιούνιος/ιουν ιουλίου/ιούλιος/ιουλ αυγούστου/αύγουστος/αυγ σεπτεμβρίου/σεπτέμβριος/σεπ"
    " οκτωβρίου/οκτώβριος/οκτ νοεμβρίου/νοέμβριος/νοε δεκεμβρίου/δεκέμβριος/δεκ",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "nb": "januar februar mars april mai juni juli august september oktober november desember/des",
    "fi": "tammikuuta/tammikuu helmikuuta/helmikuu maaliskuuta/maaliskuu huhtikuuta/huhtikuu toukokuuta/toukokuu"
    " kesäkuuta/kesäkuu heinäkuuta/heinäkuu elokuuta/elokuu syyskuuta/syyskuu lokakuuta/lokakuu marraskuuta/marraskuu"
    " joulukuuta/joulukuu",
    "tr": "ocak/oca şubat/şub mart nisan/nis mayıs haziran/haz temmuz/tem ağustos/ağu eylül/eyl ekim/eki kasım/kas"
    " aralık/ara",
    "ro": "ianuarie/ian februarie martie aprilie mai iunie/iun iulie/iul august septembrie octombrie noiembrie"
    " decembrie",
    "hu": "január február március/márc április/ápr május/máj június/jún július/júl augusztus szeptember/szept október"
    " november december",
    "id": "januari februari maret april mei juni juli agustus/agu september oktober november desember",
    "ca": "gener febrer març abril maig juny juliol agost setembre octubre novembre desembre",
}


def _plain(word: str) -> str:
    """Lower case without diacritics, so that `août` and `aout` are one."""
    split = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in split if not unicodedata.combining(c))


_MONTHS = {
    _plain(form): number
    for names in _NAMES.values()
    for number, forms in enumerate(names.split(), 1)
    for form in forms.split("/")
}

_ISO = re.compile(r"(?<!\d)(\d{4})\s?([-/.年년])\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})(?![\d])")
_YEAR = re.compile(r"\d{4}")
_COMPACT = re.compile(r"\s*((?:19|20)\d\d)(\d\d)(\d\d)(?:T?\d{4,6}\w*)?\s*$")
_EPOCH = re.compile(r"\s*(\d{9,10})(\d{3})?\s*$")
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|re|º|ª|°|\.)?[\s,-]{0,3}(?:(?:de|of|di|d['’])\s?)?([^\W\d_]{3,12})"
    r"[.,']{0,2}[\s-]{0,3}(?:(?:de|del|of)\s)?(\d{4})(?!\d)"
)
_MONTH_DAY = re.compile(
    r"(?<![^\W_])([^\W\d_]{3,12})\.?\s?(\d{1,2})(?:st|nd|rd|th)?(?:,\s?|\s)(?:[aA]t\s)?(\d{4})(?![\d:])"
)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[.,]?\s([^\W\d_]{3,12})\.?\s(\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<![\d.,/])(\d{1,2})\s?([./-])\s?(\d{1,2})\s?\2\s?(\d{4})(?!\d|[./]\d)")
_VIETNAMESE = re.compile(r"(\d{1,2})\s+tháng\s+(\d{1,2}),?\s+(?:năm\s+)?(\d{4})", re.IGNORECASE)
_IN_PATH = re.compile(r"/((?:19|20)\d\d)[/-](\d\d?)[/-](\d\d?)(?=[/?#_-]|$)|/((?:19|20)\d\d)(\d\d)(\d\d)(?=[/_-])")
_MONTH_FIRST = frozenset(("en-us", "en-ph", "es-us"))


def last_day(crawled: str | None) -> str | None:
    """The latest day that a page fetched at `crawled` (ISO 8601) can name as today.

    Where a time is given it is UTC, and the day there may be up to 14 hours ahead (Kiribati).
    """
    if not crawled:
        return None
    try:
        moment = datetime.datetime.fromisoformat(crawled[:19])
        return (moment + datetime.timedelta(hours=14)).date().isoformat()
    except (ValueError, OverflowError):
        return find_day(crawled, None, machine=True)


def find_day(text: str, latest: str | None, locale: str | None = None, machine: bool = False) -> str | None:
    """The first ISO 8601 day in the first 200 characters of a text; not before MIN_YEAR nor after `latest`.

    `locale` (BCP 47, lower case) decides the order of 3/5/2019; where it doesn't, such a date is none.
    `machine`: also 20190503 and seconds or milliseconds since 1970, as attributes have them.
    """
    text = text[:200]
    if not _YEAR.search(text):
        return None
    if machine:
        match = _COMPACT.match(text)
        if match:
            return _iso(match[1], match[2], match[3], latest)
        match = _EPOCH.match(text)
        if match:
            day = datetime.datetime.fromtimestamp(int(match[1]), datetime.UTC).date().isoformat()
            return day if _within(day, latest) else None
    match = _ISO.search(text)
    if match:
        return _iso(match[1], match[3], match[4], latest)
    for pattern, year, month, day_group in ((_DAY_MONTH, 3, 2, 1), (_MONTH_DAY, 3, 1, 2), (_YEAR_FIRST, 1, 2, 3)):
        for match in pattern.finditer(text):
            number = _MONTHS.get(_plain(match[month]))
            if number:
                return _iso(match[year], number, match[day_group], latest)
    match = _VIETNAMESE.search(text)
    if match:
        return _iso(match[3], match[2], match[1], latest)
    match = _NUMERIC.search(text)
    return _numeric(match, latest, locale) if match else None


def month_number(word: str) -> int | None:
    """1 to 12 for the name of a month, full or short, in any of the languages."""
    return _MONTHS.get(_plain(word.strip(".,")))


def day_in_url(url: str, latest: str | None) -> str | None:
    """The day in a path such as /2016/07/08/ or /20160708/; a month alone is no day."""
    match = _IN_PATH.search(url[:2000])
    if not match:
        return None
    return _iso(match[1] or match[4], match[2] or match[5], match[3] or match[6], latest)


def days_apart(one: str, other: str) -> int:
    """Days between two ISO 8601 days."""
    return abs((datetime.date.fromisoformat(one) - datetime.date.fromisoformat(other)).days)


def without_day(text: str) -> str:
    """The text with its dates taken out."""
    for pattern in (_ISO, _DAY_MONTH, _MONTH_DAY, _YEAR_FIRST, _VIETNAMESE, _NUMERIC):
        text = pattern.sub(" ", text)
    return text


def _numeric(match: re.Match[str], latest: str | None, locale: str | None) -> str | None:
    first, second = int(match[1]), int(match[3])
    if first > 12 or first == second:
        day, month = first, second
    elif second > 12:
        day, month = second, first
    elif match[2] == ".":  # 3.5.2019 is day first wherever points are used
        day, month = first, second
    elif locale in _MONTH_FIRST:
        day, month = second, first
    elif locale is None or locale == "en":  # British and American pages both say just that
        return None
    else:
        day, month = first, second
    return _iso(match[4], month, day, latest)


def _iso(year: str | int, month: str | int, day: str | int, latest: str | None) -> str | None:
    try:
        iso = datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
    return iso if _within(iso, latest) else None


def _within(day: str, latest: str | None) -> bool:
    return f"{MIN_YEAR}-01-01" <= day and (latest is None or day <= latest)
