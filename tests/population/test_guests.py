"""Guests are known by their address at home."""

from __future__ import annotations

import pytest

from agent.population.guests import home_address


@pytest.mark.parametrize(
    ("logon_name", "address"),
    [
        ("anna_partner.example#EXT#@corp.onmicrosoft.com", "anna@partner.example"),
        ("anna.b_c_partner.example#EXT#@corp.onmicrosoft.com", "anna.b_c@partner.example"),
        ("Anna_Partner.Example#ext#@corp.test", "Anna@Partner.Example"),
        ("anna_b@partner.example", "anna_b@partner.example"),
        ("anna#EXT#@corp.test", "anna#EXT#@corp.test"),
        ("_partner.example#EXT#@corp.test", "_partner.example#EXT#@corp.test"),
        ("", ""),
    ],
)
def test_the_address_at_home_is_before_the_marker(logon_name: str, address: str) -> None:
    assert home_address(logon_name) == address
