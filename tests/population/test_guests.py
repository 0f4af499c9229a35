"""Guests are known by their address at home."""

from __future__ import annotations

import pytest

from agent.population.guests import home_address
from agent.population.mapping import MappedUser, mapping_of
from agent.settings import MappingSettings


@pytest.mark.parametrize(
    ("logon_name", "address"),
    [
        ("anna_partner.example#EXT#@corp.onmicrosoft.com", "anna@partner.example"),
        ("anna.b_c_partner.example#EXT#@corp.onmicrosoft.com", "anna.b_c@partner.example"),
        ("Anna_Partner.Example#ext#@corp.test", "Anna@Partner.Example"),
        ("anna_b@partner.example", "anna_b@partner.example"),
        ("anna#EXT#@corp.test", "anna#EXT#@corp.test"),
        ("anna_smith#EXT#@corp.test", "anna_smith#EXT#@corp.test"),  # smith is a name, and no domain
        ("_partner.example#EXT#@corp.test", "_partner.example#EXT#@corp.test"),
        ("", ""),
    ],
)
def test_the_address_at_home_is_before_the_marker(logon_name: str, address: str) -> None:
    assert home_address(logon_name) == address


@pytest.mark.parametrize(
    ("attributes", "address"),
    [
        ({"mail": "anna@partner.example", "userprincipalname": "anna_other.example#EXT#@corp.test"},
         "anna@partner.example"),
        ({"userprincipalname": "anna.b_partner.example#EXT#@corp.onmicrosoft.com"}, "anna.b@partner.example"),
        ({"userprincipalname": "anna#EXT#@corp.test", "primaryproxyaddress": "anna@partner.example"},
         "anna@partner.example"),
        ({"mail": "anna#EXT#@corp.test", "userprincipalname": "anna_partner.example#EXT#@corp.test"},
         "anna@partner.example"),
    ],
)  # fmt: skip
def test_a_guest_is_mapped_to_the_address_at_home(attributes: dict[str, str], address: str) -> None:
    mapped = mapped_guest(attributes)

    assert (mapped.email, mapped.user_name, mapped.problem) == (address, address, None)


@pytest.mark.parametrize(
    "logon_name", ["anna#EXT#@corp.test", "anna_smith#EXT#@corp.test", "_partner.example#ext#@corp.test"]
)
def test_a_guest_whose_address_at_home_cannot_be_told_is_a_problem_and_not_one_of_the_hosts_own(
    logon_name: str,
) -> None:
    problem = mapped_guest({"userprincipalname": logon_name}).problem

    assert problem == (
        f"CN=anna,DC=corp,DC=test is a guest whose logon name, {logon_name}, does not tell the e-mail address at home. "
        "Enter the address in the directory as mail, or name other attributes in [mapping] email."
    )


def test_no_address_is_made_from_a_part_of_a_logon_name() -> None:
    settings = MappingSettings(email="{givenName}.{userPrincipalName | local}@corp.test")
    attributes = {"givenname": ("Anna",), "userprincipalname": ("anna#EXT#@corp.test",)}

    mapped = mapping_of(settings).user("anchor", "CN=anna,DC=corp,DC=test", attributes, active=True)

    assert mapped.problem is not None
    assert "does not tell the e-mail address at home" in mapped.problem


def mapped_guest(attributes: dict[str, str]) -> MappedUser:
    values = {key: (value,) for key, value in attributes.items()}
    return mapping_of(MappingSettings()).user("anchor", "CN=anna,DC=corp,DC=test", values, active=True)
