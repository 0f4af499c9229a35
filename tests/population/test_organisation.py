"""The invented organisation is what the tests that use it believe it to be."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.population.organisation import (
    FOREIGN_DOMAINS,
    GROUPS,
    MANAGED_DOMAIN,
    PEOPLE,
    SUFFIX,
    Group,
    GroupKind,
    Organisation,
    Person,
    anchor_of,
)


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return Organisation.build(users=1_000, groups=60)


def person(uid: str, mail: str | None) -> Person:
    return Person(uid, f"uid={uid},{PEOPLE}", uid.title(), "Test", mail, anchor_of(uid), 0)


def group(cn: str, members: tuple[str, ...] = (), nested: tuple[str, ...] = ()) -> Group:
    return Group(cn, f"cn={cn},{GROUPS}", GroupKind.NAMES, anchor_of(cn), members, nested)


def test_expected_members_are_those_counted_by_hand() -> None:
    handmade = Organisation(
        people=(
            person("anna", "anna@example.com"),
            person("ben", "ben@freelance.example"),
            person("cleo", None),
            person("dora", "dora@example.com"),
        ),
        groups=(
            group("app-direct", ("anna", "cleo")),
            group("app-nested", ("anna",), ("team-one",)),
            group("team-one", ("ben",), ("team-two",)),
            group("team-two", ("dora",), ("team-one",)),
            group("app-itself", ("cleo",), ("app-itself",)),
        ),
    )

    assert handmade.expected_members() == {
        "app-direct": {"anna@example.com"},
        "app-nested": {"anna@example.com", "ben@freelance.example", "dora@example.com"},
        "team-one": {"ben@freelance.example", "dora@example.com"},
        "team-two": {"ben@freelance.example", "dora@example.com"},
        "app-itself": set(),
    }


def test_the_same_arguments_give_the_same_bytes_on_every_machine() -> None:
    first = Organisation.build(users=50, groups=10, seed=7).ldif(with_anchors=True)
    again = Organisation.build(users=50, groups=10, seed=7).ldif(with_anchors=True)
    other = Organisation.build(users=50, groups=10, seed=8).ldif(with_anchors=True)

    assert first == again
    assert first != other
    # A change of Python's random or of the generator shows here: figures of earlier runs no longer compare.
    assert (
        hashlib.sha256(first.encode()).hexdigest() == "d8f4176bd23a8d02486f67e3d82b58d000e3b08e110a173c795babdca7a95526"
    )


def test_the_sizes_and_the_foreign_share_are_those_asked_for(organisation: Organisation) -> None:
    domains = [person.mail.partition("@")[2] for person in organisation.people if person.mail is not None]
    foreign = [domain for domain in domains if domain != MANAGED_DOMAIN]

    assert len(organisation.people) == 1_000
    assert len(organisation.groups) == 60
    assert len([group for group in organisation.groups if group.cn.startswith("app-")]) == 30
    assert set(foreign) == set(FOREIGN_DOMAINS)
    assert 140 <= len(foreign) <= 150  # 15 %, less those of them who have no mail


def test_mails_and_names_are_unique_however_they_are_written(organisation: Organisation) -> None:
    mails = [person.mail.lower() for person in organisation.people if person.mail is not None]
    names = [person.dn.lower() for person in organisation.people]
    names += [group.dn.lower() for group in organisation.groups]

    assert all(mail.isascii() for mail in mails)
    assert len(set(mails)) == len(mails)
    assert len(set(names)) == len(names)


def test_every_trap_is_there(organisation: Organisation) -> None:
    group_of = {group.cn: group for group in organisation.groups}
    listed = {uid for group in organisation.groups for uid in group.members}

    assert {group.kind for group in organisation.groups} == set(GroupKind)
    assert "app-001" in group_of["app-001"].nested
    assert group_of["app-019"].members == ()
    assert _depth("app-000", group_of, ()) >= 4
    assert any(_on_a_cycle(cn, group_of) for cn in group_of if cn.startswith("team-"))
    assert any(person.mail is None for person in organisation.people)
    assert any(person.uid not in listed for person in organisation.people)
    assert any("\\," in person.dn for person in organisation.people)
    assert any(not person.given_name.isascii() for person in organisation.people)
    assert any(dn.endswith(SUFFIX.upper()) for dn in organisation.ldif().splitlines())


@pytest.mark.parametrize("with_anchors", [False, True])
def test_slapadd_accepts_every_record(tmp_path: Path, organisation: Organisation, *, with_anchors: bool) -> None:
    content, configuration, database = (tmp_path / name for name in ("content.ldif", "slapd.conf", "database"))
    content.write_text(organisation.ldif(with_anchors=with_anchors), encoding="utf-8")
    database.mkdir()
    schemas = "".join(
        f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson", "nis")
    )
    configuration.write_text(
        f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        f'database mdb\nsuffix "{SUFFIX}"\ndirectory {database}\nmaxsize 104857600\n',
        encoding="utf-8",
    )

    # slapd is in sbin, which an ordinary user's PATH need not name.
    slapd = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/libexec") or "slapd"
    subprocess.run(
        [slapd, "-T", "add", "-f", str(configuration), "-l", str(content)], check=True, capture_output=True, timeout=60
    )
    dump = subprocess.run(
        [slapd, "-T", "cat", "-f", str(configuration)], check=True, capture_output=True, timeout=60
    ).stdout

    assert dump.count(b"\nentryUUID: ") == len(organisation.people) + len(organisation.groups) + 3
    assert (organisation.people[0].anchor.encode() in dump) is with_anchors


def test_too_small_an_organisation_is_refused() -> None:
    with pytest.raises(ValueError, match="20 users and 10 groups"):
        Organisation.build(users=5, groups=10)


def _depth(cn: str, group_of: dict[str, Group], above: tuple[str, ...]) -> int:
    """Count the groups on the longest way down that meets no group twice."""
    path = (*above, cn)
    below = [_depth(inner, group_of, path) for inner in group_of[cn].nested if inner not in path]
    return 1 + max(below, default=0)


def _on_a_cycle(cn: str, group_of: dict[str, Group]) -> bool:
    seen: set[str] = set()
    waiting = list(group_of[cn].nested)
    while waiting:
        current = waiting.pop()
        if current == cn:
            return True
        if current not in seen:
            seen.add(current)
            waiting.extend(group_of[current].nested)
    return False
