"""Addresses that pass from one person to another: in a chain, in a circle, and to somebody new."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import anchor_of, group, person
from tests.servers.scim_service import Fault, ScimService


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, upstream={"workers": 4})
    return agent


def directory(*mails: str) -> str:
    names = ("anna", "ben", "carl")[: len(mails)]
    everybody = "".join(person(name, mail=f"{mail}@example.com") for name, mail in zip(names, mails, strict=True))
    return everybody + group("app-a", *names)


def owners(scim: ScimService) -> dict[str, str]:
    return {str(user["externalId"]): str(user["userName"]) for user in scim.users.values()}


@pytest.mark.parametrize(
    ("before", "after"),
    [(("a", "b"), ("b", "a")), (("a", "b", "c"), ("b", "c", "a")), (("a", "b", "c"), ("b", "c", "d"))],
)
def test_everybody_ends_with_the_address_of_the_directory(
    ready: Agent, scim: ScimService, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    ready.ldif.write_text(directory(*before))
    ready.sync()
    ids = {str(user["externalId"]): scim_id for scim_id, user in scim.users.items()}
    ready.ldif.write_text(directory(*after))

    report = ready.sync()

    names = ("anna", "ben", "carl")
    assert report["exit_code"] == 0
    assert owners(scim) == {anchor_of(name): f"{mail}@example.com" for name, mail in zip(names, after, strict=False)}
    assert {str(user["externalId"]): scim_id for scim_id, user in scim.users.items()} == ids
    assert scim.membership()["app-a"] == {f"{mail}@example.com" for mail in after}
    assert ready.sync()["counts"]["writes"] == 0


def test_a_circle_that_is_interrupted_goes_on_with_the_next_cycle(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(directory("a", "b"))
    ready.sync()
    ready.ldif.write_text(directory("b", "a"))
    scim.faults.append(Fault(lambda r: r.method == "PUT" and "+" in str(r.body["userName"]), times=1, drop="answer"))

    for _ in range(3):
        last = ready.sync()

    assert last["exit_code"] == 0
    assert owners(scim) == {anchor_of("anna"): "b@example.com", anchor_of("ben"): "a@example.com"}


def test_an_address_goes_to_somebody_new_when_its_owner_gets_another(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(directory("a"))
    ready.sync()
    ready.ldif.write_text(
        person("anna", mail="z@example.com") + person("ben", mail="a@example.com") + group("app-a", "anna", "ben")
    )

    ready.sync()
    report = ready.sync()

    assert report["exit_code"] == 0
    assert owners(scim) == {anchor_of("anna"): "z@example.com", anchor_of("ben"): "a@example.com"}
