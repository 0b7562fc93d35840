"""The shells that the sample's pages are put into: eight ways in which real sites are built.

A layout takes the page, its ready body and the site's navigation; all differ in structure, age and
boilerplate. Which one a host has is fixed by its name.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable

from .pages import Page, block_html, blocks

_WORDS = {
    "en": ("Home", "About us", "Contact", "Search", "Archive", "Newsletter", "Privacy", "Share this page", "Most read"),
    "de": ("Startseite", "Über uns", "Kontakt", "Suche", "Archiv", "Rundbrief", "Datenschutz", "Seite teilen", "Meistgelesen"),
    "fr": ("Accueil", "À propos", "Contact", "Recherche", "Archives", "Lettre", "Vie privée", "Partager", "Les plus lus"),
    "es": ("Inicio", "Quiénes somos", "Contacto", "Buscar", "Archivo", "Boletín", "Privacidad", "Compartir", "Lo más leído"),
    "it": ("Home", "Chi siamo", "Contatti", "Cerca", "Archivio", "Notiziario", "Riservatezza", "Condividi", "I più letti"),
    "pt": ("Início", "Sobre", "Contacto", "Procurar", "Arquivo", "Boletim", "Privacidade", "Partilhar", "Mais lidos"),
    "nl": ("Start", "Over ons", "Contact", "Zoeken", "Archief", "Nieuwsbrief", "Privacy", "Delen", "Meest gelezen"),
    "pl": ("Start", "O nas", "Kontakt", "Szukaj", "Archiwum", "Biuletyn", "Prywatność", "Udostępnij", "Najczęściej czytane"),
    "ru": ("Главная", "О нас", "Контакты", "Поиск", "Архив", "Рассылка", "Приватность", "Поделиться", "Популярное"),
    "zh": ("首页", "关于我们", "联系方式", "搜索", "存档", "订阅", "隐私", "分享", "热门"),
    "ja": ("ホーム", "このサイトについて", "お問い合わせ", "検索", "過去の記事", "購読", "個人情報", "共有", "人気の記事"),
    "ko": ("홈", "소개", "연락처", "검색", "보관함", "소식지", "개인정보", "공유", "인기 글"),
    "ar": ("الرئيسية", "من نحن", "اتصل بنا", "بحث", "الأرشيف", "النشرة", "الخصوصية", "شارك", "الأكثر قراءة"),
}  # fmt: skip

RTL = ("ar", "he", "fa")

Layout = Callable[[Page, str, list[tuple[str, str]]], str]


def pick(text: str, count: int) -> int:
    """A number below `count` fixed by a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) % count


def words(lang: str) -> tuple[str, ...]:
    """The site's small words in its language."""
    return _WORDS.get(lang, _WORDS["en"])


def body_html(page: Page) -> str:
    """The page's own content: plain blocks, forum posts, reviews or listing items by its type."""
    style = pick(page.host + page.type, 3)
    out: list[str] = []
    open_post = False
    for block in blocks(page.body):
        if block.kind == "post":
            if open_post:
                out.append(_post_end(style))
            out.append(_post_start(block.lines[0], style))
            open_post = True
        elif block.kind == "item":
            title, _, rest = block.lines[0].partition(" | ")
            teaser, _, link = rest.rpartition(" | ")
            out.append(_item(title, teaser or rest, link or "#", style))
        else:
            out.append(block_html(block))
    if open_post:
        out.append(_post_end(style))
    return "\n".join(out)


def _post_start(line: str, style: int) -> str:
    user, *rest = (html.escape(part.strip()) for part in line.split("|"))
    when = " · ".join(rest)
    if style == 0:
        return f'<div class="post"><div class="post-meta"><b>{user}</b> <span class="when">{when}</span></div><div class="post-body">'
    if style == 1:
        return f'<tr><td class="poster" valign="top"><strong>{user}</strong><br><small>{when}</small></td><td class="message">'
    return f'<article class="comment" itemprop="comment"><header><a href="/users/{user}">{user}</a> <time>{when}</time></header><section>'


def _post_end(style: int) -> str:
    return ("</div></div>", "</td></tr>", "</section></article>")[style]


def _item(title: str, teaser: str, link: str, style: int) -> str:
    title, teaser, link = html.escape(title), html.escape(teaser), html.escape(link)
    if style == 0:
        return f'<div class="card"><h3><a href="{link}">{title}</a></h3><p>{teaser}</p></div>'
    if style == 1:
        return f'<dl class="entry"><dt><a href="{link}">{title}</a></dt><dd>{teaser}</dd></dl>'
    return f'<li class="result"><h4><a href="{link}">{title}</a></h4><p class="teaser">{teaser}</p></li>'


def _nav(links: list[tuple[str, str]], separator: str = " ") -> str:
    return separator.join(f'<a href="{html.escape(href)}">{html.escape(text)}</a>' for text, href in links)


def _head(page: Page, extra: str = "") -> str:
    return f"<title>{html.escape(page.title)} | {html.escape(page.host)}</title>%META%{extra}"


def _modern(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    w = words(page.lang)
    data: dict[str, object] = {"@context": "https://schema.org", "@type": "Article", "headline": page.title}
    if page.author:
        data["author"] = {"@type": "Person", "name": page.author}
    if page.date:
        data["datePublished"] = page.date
    ld = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    direction = ' dir="rtl"' if page.lang in RTL else ""
    return f"""<!DOCTYPE html>
<html lang="{page.lang}"{direction}><head>{_head(page)}
<meta name="viewport" content="width=device-width"><meta property="og:title" content="{html.escape(page.title)}">
<script type="application/ld+json">{ld}</script><style>nav a {{ padding: 4px }} .hero {{ color: #333 }}</style></head>
<body><a class="skip" href="#main">Skip</a><header><nav>{_nav(links)}</nav><form role="search"><input placeholder="{w[3]}"></form></header>
<main id="main"><article><h1>{html.escape(page.title)}</h1>
<p class="byline">{html.escape(page.author)} <time datetime="{page.date}">{page.date}</time></p>
{body}
</article><aside><h2>{w[8]}</h2><ul>{"".join(f"<li>{_nav([link])}</li>" for link in links[2:])}</ul></aside></main>
<footer><p>{w[5]}: <input type="email"> {w[6]}</p><script>window.dataLayer=window.dataLayer||[];</script></footer></body></html>"""


def _tables(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    return f"""<HTML><HEAD>{_head(page)}</HEAD>
<BODY BGCOLOR="#ffffff" TEXT="#000000"><TABLE WIDTH="100%" BORDER=0><TR><TD WIDTH=150 VALIGN=TOP BGCOLOR="#dde8f0">
<FONT SIZE=2>{_nav(links, "<BR>")}</FONT></TD><TD VALIGN=TOP><H1>{html.escape(page.title)}</H1>
<FONT FACE="Times">{body}</FONT>
<HR><FONT SIZE=1>{html.escape(page.author)} {page.date} &nbsp; <A HREF="mailto:webmaster@{page.host}">{words(page.lang)[2]}</A></FONT>
</TD></TR></TABLE></BODY></HTML>"""


def _divs(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    w = words(page.lang)
    menu = "".join(f"<li>{_nav([link])}</li>" for link in links)
    return f"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">
<html><head>{_head(page)}<link rel="stylesheet" href="/style.css"></head><body>
<div id="wrap"><div id="header"><div id="logo">{html.escape(page.host)}</div><ul id="menu">{menu}</ul></div>
<div id="breadcrumb">{w[0]} &raquo; {html.escape(page.type)}</div>
<div id="content"><div class="entry"><h1 class="entry-title">{html.escape(page.title)}</h1>
<div class="meta">{html.escape(page.author)} {page.date}</div><div class="entry-content">
{body}
</div><div class="sharedaddy">{w[7]}: <a href="#">+</a> <a href="#">@</a></div></div></div>
<div id="sidebar"><h3>{w[8]}</h3><ul>{menu}</ul><h3>{w[4]}</h3><ul><li><a href="/2019">2019</a></li><li><a href="/2020">2020</a></li></ul></div>
<div id="footer">&copy; {html.escape(page.host)} | {w[6]} | {w[2]}</div></div></body></html>"""


def _xhtml(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    return f"""<?xml version="1.0"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="{page.lang}" lang="{page.lang}"><head>{_head(page)}</head>
<body><div class="navigation">{_nav(links, " | ")}</div><div class="document"><div class="body"><h1>{html.escape(page.title)}</h1>
{body}
</div></div><div class="sphinxsidebar"><h4>{words(page.lang)[8]}</h4>{_nav(links, "<br />")}</div>
<div class="footer">{html.escape(page.author)}, {page.date}</div></body></html>"""


def _unclosed(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    loose = body.replace("</p>", "").replace("</li>", "").replace("</td>", "").replace("</tr>", "")
    return f"""<html><head>{_head(page)}<body>
<center>{_nav(links, " - ")}</center><hr>
<h2>{html.escape(page.title)}</h2>
{loose}
<hr><address>{html.escape(page.author)} <i>{page.date}</i></address>"""


def _shop(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    w = words(page.lang)
    return f"""<!doctype html><html lang="{page.lang}"><head>{_head(page)}
<meta name="description" content="{html.escape(page.title)}"></head><body class="template-{page.type}">
<div class="announcement-bar">%COOKIE%</div><div class="site-header"><a href="/">{html.escape(page.host)}</a>
<div class="mega-menu">{_nav(links)}</div><a class="cart" href="/cart">0</a></div>
<section class="main-content" role="main"><h1 itemprop="name">{html.escape(page.title)}</h1><div itemprop="description" class="description">
{body}
</div></section><section class="related"><h2>{w[8]}</h2>{_nav(links)}</section>
<div class="newsletter"><p>{w[5]}</p><button>OK</button></div><div class="site-footer">{w[1]} {w[2]} {w[6]}</div></body></html>"""


def _wiki(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    tools = "".join(f"<li>{_nav([link])}</li>" for link in links)
    return f"""<!DOCTYPE html>
<html class="client-nojs" lang="{page.lang}"><head>{_head(page)}</head><body class="mediawiki ltr">
<div id="mw-navigation"><ul>{tools}</ul></div><div id="bodyContent" class="mw-body"><h1 id="firstHeading">{html.escape(page.title)}</h1>
<div id="siteSub">{html.escape(page.host)}</div><div id="mw-content-text"><div class="mw-parser-output">
{body}
</div></div><div class="printfooter">{page.date}</div></div></body></html>"""


def _nested(page: Page, body: str, links: list[tuple[str, str]]) -> str:
    w = words(page.lang)
    return f"""<!DOCTYPE html><html lang="{page.lang}"><head>{_head(page)}<script>var x = "</div>"; if (1 < 2) {{ x += 1; }}</script></head>
<body><div id="app"><div class="l-outer"><div class="l-top"><div class="c-nav"><ul class="c-nav__list">{"".join(f'<li class="c-nav__item">{_nav([k])}</li>' for k in links)}</ul></div></div>
<div class="l-inner"><div class="l-col l-col--wide"><div class="c-story"><h1 class="c-story__title">{html.escape(page.title)}</h1>
<div class="c-story__author">{html.escape(page.author)}</div><div class="c-story__text">
{body}
</div></div></div><div class="l-col l-col--narrow"><div class="c-box">{w[5]}</div><div class="c-box">{w[7]}</div></div></div></div>
<div class="c-cookie">%COOKIE%</div></div><noscript><img src="/pixel.gif" alt=""></noscript></body></html>"""


LAYOUTS: tuple[Layout, ...] = (_modern, _tables, _divs, _xhtml, _unclosed, _shop, _wiki, _nested)

_BY_TYPE: dict[str, tuple[Layout, ...]] = {
    "article": (_modern, _divs, _nested, _tables, _unclosed, _modern),
    "forum": (_divs, _nested, _modern, _tables),
    "product": (_shop, _modern, _divs),
    "listing": (_divs, _shop, _nested, _modern),
    "documentation": (_wiki, _xhtml, _unclosed, _tables, _modern),
}

_COOKIES = (
    "This site sets cookies to count visits. <a href=/cookies>More</a> <button>Agree</button>",
    "Free delivery above 50. <a href=/terms>Terms</a>",
    "We and our 812 partners store and read information on your device. <button>Accept all</button>",
)


def render(page: Page, links: list[tuple[str, str]], meta: str) -> str:
    """The whole page as HTML; `meta` goes into its head."""
    layouts = _BY_TYPE[page.type]
    layout = layouts[pick(page.host + page.type, len(layouts))]
    body = body_html(page)
    if 'class="poster"' in body:
        first = body.index("<tr><td class=")
        body = body[:first] + "<table class=thread>" + body[first:] + "</table>"
    text = layout(page, body, links)
    cookie = _COOKIES[pick(page.host, len(_COOKIES))]
    return text.replace("%META%", meta).replace("%COOKIE%", cookie)
