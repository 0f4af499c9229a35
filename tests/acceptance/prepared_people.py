"""Thirteen people, each of whom is in or out for another reason, after two cycles; and nobody left to ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.company import CORP, PARTNERS, entry
from tests.agent_runner import Agent, Done
from tests.ldif_text import group, group_dn, person
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import ScriptedActiveDirectory
from tests.servers.scripted_active_directory import group as domain_group
from tests.servers.scripted_active_directory import group_dn as domain_group_dn
from tests.servers.scripted_active_directory import person as domain_person
from tests.servers.scripted_active_directory import person_dn as domain_person_dn

OTTO = "cn=otto,ou=people,dc=emea,dc=example"
NO_ROBOTS = "(&(objectCategory=person)(objectClass=user)(!(objectClass=robot)))"
OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


class PreparedPeople:
    """Use `explain` for what the command prints of somebody, with times and SCIM ids replaced by words."""

    def __init__(self, agent: Agent, scim_ids: dict[str, str]) -> None:
        self.agent, self.scim_ids = agent, scim_ids

    def explain(self, *arguments: str) -> Done:
        done = self.agent.run("explain", *arguments, COLUMNS="80")
        return Done(done.code, self.plain(done.out), self.plain(done.err))

    def plain(self, text: str) -> str:
        for scim_id, name in self.scim_ids.items():
            text = text.replace(scim_id, f"<id of {name}>")
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "<time>", text)
        text = re.sub(r"\d{4}-\d\d-\d\d\b", "<date>", text)
        text = re.sub(r"ldap://127\.0\.0\.1:\d+", "<controller>", text)
        return text.replace(str(self.agent.directory), "<here>")


@contextmanager
def prepared_people(place: Path) -> Iterator[PreparedPeople]:
    """Two cycles: in the second, bea and greg have left their groups."""
    agent = Agent(place)
    domain = _domain()
    with ScimService() as scim, domain:
        scim.refuses = lambda user: "no such tier" if user["userName"].startswith("rita@") else None
        agent.configure(
            scim,
            CORP,
            PARTNERS,
            domain.settings(name="ad", user_filter=NO_ROBOTS),
            guard=OPEN,
            upstream={"workers": 1},
            external={
                "protected_domains": ["board.example"],
                "domains": {"partner.example": "skip"},
            },
            same_person={"by": ["{employeeNumber}"]},
        )
        (place / "partners.ldif").write_text(entry("a.berg", "1") + entry("a.bergmann", "1") + group("other", "a.berg"))
        for leavers in (["bea", "greg"], []):
            agent.ldif.write_text(_corp(leavers))
            report = agent.sync()
            assert report["exit_code"] == 1, report["sentences"]
        names = {scim_id: user["userName"].partition("@")[0] for scim_id, user in scim.users.items()}
        names |= {scim_id: group["displayName"] for scim_id, group in scim.groups.items()}
    yield PreparedPeople(agent, names)


def _corp(leavers: list[str]) -> str:
    people = "".join(
        (
            person("nina"),
            person("tom"),
            person("dora", extra="nsAccountLock: true\n"),
            person("paula", mail="paula@partner.example"),
            person("mia", mail=""),
            entry("ada", "1"),
            person("rita"),
            person("bea", mail="bea@board.example"),
            person("greg"),
        )
    )
    listed = ["dora", "paula", "mia", "ada", "rita", OTTO, group_dn("team"), *leavers]
    return people + group("app-a", "tom", *listed) + group("app-b", "tom") + group("team", "nina", "tom")


def _domain() -> ScriptedActiveDirectory:
    domain = ScriptedActiveDirectory(1)
    staff = domain_group("app-staff", domain_person_dn("filip"))
    identifier = str(int.from_bytes(bytes(staff["objectsid"][0])[-4:], "little")).encode()
    domain.add(domain_person_dn("priya"), domain_person("priya", primarygroupid=[identifier]))
    domain.add(domain_person_dn("filip"), domain_person("filip", objectclass=[b"top", b"person", b"user", b"robot"]))
    domain.add(domain_group_dn("app-staff"), staff)
    return domain
