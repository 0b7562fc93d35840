"""The made-up bench and its cases, made once."""

from __future__ import annotations

import pytest

from decontam.scorecard.cases import FORMS, Bench, Case, Workshop
from decontam.scorecard.pool import Item
from decontam.scorecard.split import HALVES

from .tools import made_hosts, made_items

PER_FORM = 24


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench(made_items())


@pytest.fixture(scope="session")
def shops(bench: Bench) -> dict[str, Workshop]:
    hosts = made_hosts()
    return {half: Workshop(bench, hosts, half) for half in HALVES}


@pytest.fixture(scope="session")
def made(shops: dict[str, Workshop]) -> dict[tuple[str, str], list[Case]]:
    """Cases by half and form."""
    return {(half, form.name): shop.make(form, PER_FORM) for half, shop in shops.items() for form in FORMS.values()}


@pytest.fixture(scope="session")
def items(bench: Bench) -> dict[str, Item]:
    return {item.name: item for item in bench.pool.items}
