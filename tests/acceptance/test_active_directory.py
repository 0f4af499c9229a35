"""A domain and the upstream: after each of many changes they are equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.state.database import open_state
from tests.acceptance.active_directory_changes import (
    COMPANY,
    Change,
    Dump,
    beginning,
    changes,
    crowd,
    crowd_changes,
    primary_group_changes,
    undeletion,
)
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scim_service import ScimService

READER = f"dn: CN=reader,CN=Users,{NAMING_CONTEXT}\nobjectClass: user\nsAMAccountName: reader\n\n"
# DS-Replication-Get-Changes (MS-ADTS 5.1.3.2.1)
REPLICATE = "(OA;;CR;1131f6aa-9c07-11d1-f79f-00c04fc2dcd2;;PSID)"
ADMINISTRATOR = "sees everything, tombstones included"
REPLICATING = "may replicate changes, and sees no tombstones"
ORDINARY = "sees what everybody sees"
# Whoever renames or moves a container, or restores what was deleted, is told by a full read; and so is, where no
# tombstone is shown, who has the name of somebody who is gone.
READ_IN_FULL = {
    "a unit is renamed",
    "a unit moves out of the base",
    "the unit moves back under its old name",
    "and restored",
    "a person is deleted and made again at once",
}
# And so is, where no tombstone is shown, that somebody went who had changed last: whether a database was put back can
# be told only by who had.
ALSO_WITHOUT_TOMBSTONES = {"a group is deleted"}


@pytest.mark.parametrize(
    ("account", "how"),
    [
        (ADMINISTRATOR, "dirsync"),
        (REPLICATING, "dirsync"),
        (ORDINARY, "auto"),
        (ADMINISTRATOR, "usn"),
        (ORDINARY, "usn"),
    ],
)
def test_after_each_of_many_changes_the_upstream_equals_the_domain(
    tmp_path: Path, scim: ScimService, agent: Agent, account: str, how: str
) -> None:
    domain = _domain(tmp_path, beginning(), account)
    agent.configure(scim, _settings(domain, account) | {"changes": how}, guard=NO_LIMITS)
    with domain:
        primary = [(what, records, ()) for what, records in primary_group_changes(domain)]
        followed = _follow(domain, agent, scim, (*changes(), *primary, *undeletion(domain)))

    assert followed.differences == []
    assert len(followed.extents) >= 40
    expected = READ_IN_FULL if account == ADMINISTRATOR else READ_IN_FULL | ALSO_WITHOUT_TOMBSTONES
    assert {what for what, extent in followed.extents.items() if extent == "full"} - expected == set()


@pytest.mark.slow_proof
def test_a_group_of_thousands_changes_by_what_changed(tmp_path: Path, scim: ScimService, agent: Agent) -> None:
    domain = _domain(tmp_path, beginning() + crowd(), ADMINISTRATOR)
    with domain, LdapFaultProxy(domain.port, address=domain.address) as proxy:
        through_proxy = {"urls": [proxy.url], "starttls": False}
        settings = _settings(domain, ADMINISTRATOR) | through_proxy
        agent.configure(scim, settings, guard=NO_LIMITS, upstream={"members_per_patch": 1000})
        followed = _follow(domain, agent, scim, crowd_changes(), proxy)

    assert followed.differences == []
    assert set(followed.extents.values()) == {"incremental"}
    assert _member_values(followed.answers["one of many leaves a group"]) == 1
    assert _member_values(followed.answers["fifty leave it at once"]) == 50
    # The member list upstream is read once, to be sure that the one change sent arrived.
    assert sorted(followed.requests["one of many leaves a group"]) == ["GET", "PATCH", "PATCH"]
    assert sorted(followed.requests["and one joins it"]) == ["GET", "PATCH", "POST"]


@dataclass
class _Followed:
    """What came of a series of changes: where the upstream differed, how each was read, and what it took."""

    differences: list[tuple[str, object]] = field(default_factory=list)
    extents: dict[str, str] = field(default_factory=dict)
    requests: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, list[bytes]] = field(default_factory=dict)


def _member_values(answers: list[bytes]) -> int:
    """Count the members named in LDAP messages: every name has its GUID with it, the group's own one, too."""
    return sum(answer.count(b"<GUID=") - 1 for answer in answers if b"member" in answer)


def _domain(place: Path, content: str, account: str) -> SambaDomain:
    domain = SambaDomain(place / "dc", plain=True)
    domain.load(content + READER, passwords={"reader": READER_PASSWORD})
    if account == REPLICATING:
        domain.grant(NAMING_CONTEXT, REPLICATE)
    return domain


def _settings(domain: SambaDomain, account: str) -> dict[str, object]:
    if account == ADMINISTRATOR:
        return domain.settings(base_dn=COMPANY)
    return domain.settings(base_dn=COMPANY, bind_dn="reader@corp.test", bind_password=READER_PASSWORD)


def _follow(
    domain: SambaDomain, agent: Agent, scim: ScimService, series: Iterable[Change], proxy: LdapFaultProxy | None = None
) -> _Followed:
    followed = _Followed()
    connection, state = connect(agent.configuration), open_state(agent.state)
    assert run_cycle(connection, state).exit_code == 0
    for what, records, controls in series:
        domain.modify(records, *controls)
        before = len(scim.requests)
        if proxy is not None:
            proxy.answers.clear()
        report = run_cycle(connection, state)
        if proxy is not None:
            followed.answers[what] = list(proxy.answers)
        followed.requests[what] = [request.method for request in scim.requests[before:]]
        followed.extents[what] = str(report.sources[0]["extent"])
        dump = Dump.of(domain)
        expected = dump.membership()
        held = {name: members for name, members in scim.membership().items() if members or name in expected}
        everybody = dump.active(set().union(*expected.values()))
        wrong = {
            name: held.get(name, set()) ^ expected.get(name, set())
            for name in held.keys() | expected.keys()
            if held.get(name) != expected.get(name)
        }
        if wrong or scim.active() != everybody or report.exit_code not in {0, 1}:
            followed.differences.append((what, [wrong, scim.active() ^ everybody, report.sentences]))
    state.close()
    return followed
