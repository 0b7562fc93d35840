"""Phrases for made-up web spam (`spam_pages`), in two sides that share nothing. Places and brands are invented."""

# ruff: noqa: E501
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """Templates take {trade}, {Trade}, {place}, {adjective}, {Adjective}, {verb} and {n}."""

    trades: tuple[str, ...]
    offers: tuple[str, ...]
    places: tuple[str, ...]
    brands: tuple[str, ...]
    adjectives: tuple[str, ...]
    verbs: tuple[str, ...]
    tails: tuple[str, ...]
    titles: tuple[str, ...]
    stuffed: tuple[str, ...]
    doorway: tuple[str, ...]
    pitches: tuple[str, ...]
    deals: tuple[str, ...]
    closings: tuple[str, ...]
    spun: tuple[str, ...]


_TUNE = Phrases(
    trades=(
        "locksmith", "roof repair", "carpet cleaning", "payday loans", "web design", "replica watches", "car insurance",
        "garage door repair", "personal injury lawyer", "wedding photographer", "seo services", "tree removal",
        "weight loss pills", "bathroom fitter", "pest control", "used cars",
    ),
    offers=("slots bonus", "generic pills", "cash loans", "essay writing", "replica handbags", "vpn deal", "free ringtones"),
    places=(
        "Ashmoor", "Kelby", "Northwick", "Port Dallen", "Stanhope Bay", "Wexley", "Tarrington", "Milbrook", "Oakhaven",
        "Redcliff Springs", "Lower Penn", "Drayford", "Saint Orme", "Halverton", "Easterby",
    ),
    brands=(
        "SpinKing", "RxDirectNow", "LoanRocket", "PrimeEssayz", "LuxTime24", "MegaDealz", "GoldRush Slots", "QuickPills",
        "CashBarn", "TopVpnPro",
    ),
    adjectives=("cheap", "best", "affordable", "top rated", "low cost", "discount", "trusted", "24 hour", "local", "number one"),
    verbs=("buy", "order", "get", "book", "compare"),
    tails=("near me", "online", "free quote", "prices", "reviews", "for sale", "no credit check", "same day"),
    titles=(
        "{Adjective} {trade} {place} | {trade} near me",
        "{Trade} {place} - {Adjective} {trade} in {place}",
        "{Trade} {place}: call now for {adjective} {trade}",
    ),
    stuffed=(
        "If you need {adjective} {trade}, our {adjective} {trade} is the {adjective} {trade} you can find.",
        "{Adjective} {trade} is what we do, and nobody does {adjective} {trade} like our {trade} team.",
        "Looking for {trade}? {verb} {trade} here, because our {trade} prices are the {adjective} {trade} prices online.",
        "When people search {trade} they want {adjective} {trade}, so {verb} {adjective} {trade} today.",
        "{Trade} reviews show that our {trade} beats every other {trade}.",
        "We offer {trade}, {adjective} {trade} and {trade} deals for everyone who needs {trade}.",
        "Why pay more for {trade} when {adjective} {trade} is one click away? Click here for {trade}.",
        "Our {trade} site is the {adjective} site about {trade} with all {trade} information.",
        "{verb} {trade} now! {Adjective} {trade} offers end soon, so {verb} your {trade} today!",
    ),
    doorway=(
        "Are you searching for {adjective} {trade} in {place}? Call our {place} {trade} team today.",
        "Our {trade} experts in {place} are available 24/7 for residents of {place} and surrounding areas.",
        "{place} {trade} customers choose us because we are the {adjective} {trade} company in {place}.",
        "For {trade} in {place}, get your free {place} quote now.",
        "No matter where in {place} you live, {adjective} {trade} {place} is only a phone call away.",
        "We have been the {place} {trade} of choice for {n} years. Call now!",
        "{Trade} {place} prices are the lowest in {place}, guaranteed.",
        "Contact {place} {trade} today for a free no obligation estimate in {place}.",
        "People in {place} trust {trade} {place} for all their {trade} needs.",
    ),
    pitches=(
        "Sign up now and claim your exclusive {n}% {trade} bonus code before it expires!",
        "Get the {adjective} {trade} on the internet, 100% guaranteed, no questions asked.",
        "Click below to {verb} your {trade} today. Limited time offer!",
        "Our readers save {n}% when they {verb} {trade} through our partner links.",
    ),
    deals=(
        "{n}% off plus free shipping. Click here!", "instant approval, no credit check. Apply now!",
        "claim {n} free bonus credits today.", "lowest price guaranteed, {verb} now.", "{n} free extras with your first order!",
    ),
    closings=(
        "Hurry, {trade} offers are limited! Act now!", "We may receive a commission if you {verb} through our links.",
        "Do not miss out: {verb} now and save {n}%!", "Money back guarantee on every {trade} order.",
    ),
    spun=(
        "There are many things to consider when it comes to {trade} in {place}.",
        "{Trade} is one of the most important decisions that people in {place} make today.",
        "It is no secret that finding {adjective} {trade} can be a daunting task.",
        "In this article we will discuss the {n} tips about {trade} that you need to know.",
        "A lot of individuals are looking for {trade} and {adjective} {trade} on the web.",
        "First and foremost, {adjective} {trade} should always be considered before you {verb} {trade}.",
        "By doing research on {trade}, you can save money on {trade} and {verb} {adjective} {trade}.",
        "Another great thing about {trade} is that {trade} is available for everybody.",
        "In conclusion, {trade} is the ideal solution when you want {adjective} {trade}.",
        "Many {trade} companies say they provide {adjective} {trade}, however not all {trade} is equal.",
    ),
)  # fmt: skip

_REPORT = Phrases(
    trades=(
        "emergency electrician", "window replacement", "dentist", "student loans", "airport taxi", "designer sunglasses",
        "home insurance", "water damage restoration", "divorce attorney", "wedding venue", "link building", "junk removal",
        "hair growth serum", "kitchen remodeling", "mattress store", "rental cars",
    ),
    offers=("poker freeroll", "diet gummies", "crypto signals", "term papers", "fake diplomas", "hosting coupon", "iptv subscription"),
    places=(
        "Bramfield", "Caston Hill", "Dunleigh", "Fort Marrow", "Glenavon", "Hollis Creek", "Ivydale", "Jutland Park",
        "Kingsmere", "Lindow", "Marlpit", "New Tamsin", "Otterburn Heath", "Pinewood Falls", "Quarrington",
    ),
    brands=(
        "BluffPalace", "SlimFast Nation", "CoinOracle", "PaperAce", "DegreeMart", "HostBargain", "StreamAll TV", "LuckyRiver",
        "FatAway", "SignalHero",
    ),
    adjectives=("leading", "professional", "inexpensive", "five star", "budget", "reliable", "fast", "licensed", "premium", "wholesale"),
    verbs=("purchase", "hire", "try", "request", "grab"),
    tails=("in my area", "coupon", "cost", "promo code", "open today", "rates", "delivery", "hotline"),
    titles=(
        "{place} {trade} services - {adjective} {trade} {place}",
        "Hire a {adjective} {trade} in {place}, {place} {trade} company",
        "{Trade} in {place} ({n} verified {trade} deals)",
    ),
    stuffed=(
        "Welcome to the {trade} website, where {trade} shoppers find {adjective} {trade} and more {trade}.",
        "{Trade}: the {adjective} {trade} for {trade} lovers, from the {trade} people.",
        "Do you want {trade}? Every {trade} on our {trade} list is a {adjective} {trade}.",
        "{Adjective} {trade}, {adjective} {trade} and even {adjective} {trade} can be yours with one {trade} order.",
        "With {trade} from our {trade} shop you will never need another {trade}.",
        "{verb} {adjective} {trade} from the {trade} specialists; {trade} has never been so simple.",
        "All about {trade}, how to {verb} {trade}, and where {trade} is {adjective}.",
        "Our {trade} guide compares {trade} with {trade} so that your {trade} is {adjective}.",
        "Save on {trade} this week: {trade} specials, {trade} bundles and {adjective} {trade} gifts.",
    ),
    doorway=(
        "Residents of {place} deserve {adjective} {trade}, and {place} {trade} is here to help.",
        "Need {trade}? {place} is where our {adjective} crew works every day of the week.",
        "As a {place} {trade} company we serve all {place} neighbourhoods.",
        "Request a {place} appointment online and our {trade} in {place} will respond in {n} minutes.",
        "{Trade} in {place} does not have to be expensive: ask our {place} office.",
        "Our {adjective} {place} staff knows {place} and knows {trade}.",
        "Thousands of {place} homes used our {trade} in {place} last year.",
        "Whether you are in {place} or just outside {place}, we are your {trade}.",
        "Dial our {place} line for {adjective} {trade} at a fair {place} rate.",
    ),
    pitches=(
        "Unlock your secret {trade} promo today: {n} spots left!",
        "Doctors hate it: the {adjective} {trade} that everybody talks about.",
        "Start earning with {trade} from home, no experience needed.",
        "Grab a {adjective} {trade} discount, verified this hour.",
    ),
    deals=(
        "get {n} dollars on your first deposit!", "risk free trial, pay only for postage.", "join {n} thousand happy members.",
        "unlimited access, cancel anytime, {verb} today!", "use the code SAVE{n} at checkout.",
    ),
    closings=(
        "Spaces fill quickly, so {verb} your {trade} right away!", "This post contains affiliate links to {trade} partners.",
        "Results guaranteed or your money back!", "Tap the button and {verb} before midnight!",
    ),
    spun=(
        "Nowadays, {trade} plays a vital role in the lives of numerous persons in {place}.",
        "Have you ever wondered why {trade} is so popular? {Trade} has lots of advantages.",
        "The following paragraphs will tell you everything regarding {trade}.",
        "It goes without saying that {adjective} {trade} is better than ordinary {trade}.",
        "Selecting the right {trade} could be tricky if you do not know {trade}.",
        "With the help of {trade}, your {trade} experience will become {adjective}.",
        "Experts agree that {trade} has {n} benefits, and {adjective} {trade} has even more.",
        "You should always read about {trade} before you {verb} any {trade} in {place}.",
        "To sum up, {trade} gives you the {trade} results that you have been dreaming of.",
        "There is a wide range of {trade} on the market, from {adjective} {trade} to premium {trade}.",
    ),
)  # fmt: skip

SIDES: dict[str, Phrases] = {"tune": _TUNE, "report": _REPORT}
