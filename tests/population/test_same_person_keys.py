"""When two values of a key are the same."""

from __future__ import annotations

import pytest

from agent.population.same_person import SamePerson, same_person_of
from agent.settings import SamePersonSettings


@pytest.fixture
def rules() -> SamePerson:
    return same_person_of(SamePersonSettings(by=("{mail}",)), ["corp", "partners"], frozenset({"mail"}))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Anna@Partner.Example", "anna@partner.example", True),
        ("anna@b\u00fccher.example", "anna@xn--bcher-kva.example", True),
        ("anna_partner.example#EXT#@corp.test", "anna@partner.example", True),
        ("anna@stra\u00dfe.example", "anna@strasse.example", False),
        ("anna@stra\u00dfe.example", "Anna@STRA\u1e9eE.example", True),
        (" 4711 ", "4711", True),
    ],
)
def test_addresses_are_compared_as_the_mail_and_the_dns_do(
    rules: SamePerson, one: str, other: str, equal: bool
) -> None:
    assert (rules.keys({"mail": (one,)}) == rules.keys({"mail": (other,)})) is equal
