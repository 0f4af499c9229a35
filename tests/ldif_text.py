"""Small directories as text, for tests."""

from __future__ import annotations

import uuid

SUFFIX = "dc=example,dc=com"


def person_dn(uid: str) -> str:
    return f"uid={uid},ou=People,{SUFFIX}"


def group_dn(name: str) -> str:
    return f"cn={name},ou=Groups,{SUFFIX}"


def anchor_of(key: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_X500, key))


def person(uid: str, *, mail: str | None = None, anchor: str | None = None, extra: str = "", dn: str = "") -> str:
    """mail="" leaves the address out."""
    address = f"{uid}@example.com" if mail is None else mail
    lines = [
        f"dn: {dn or person_dn(uid)}", "objectClass: inetOrgPerson", f"entryUUID: {anchor or anchor_of(uid)}",
        f"uid: {uid}", f"cn: {uid.title()} Example", "sn: Example", f"givenName: {uid.title()}",
    ]  # fmt: skip
    if address:
        lines.append(f"mail: {address}")
    return "\n".join(lines) + "\n" + extra + "\n"


def group(name: str, *members: str, anchor: str | None = None) -> str:
    """Members are uids, or DNs."""
    lines = [
        f"dn: {group_dn(name)}", "objectClass: groupOfNames", f"entryUUID: {anchor or anchor_of('group ' + name)}",
        f"cn: {name}",
    ]  # fmt: skip
    lines += [f"member: {member if '=' in member else person_dn(member)}" for member in members]
    return "\n".join(lines) + "\n\n"


def people(count: int) -> str:
    return "".join(person(f"u{number}") for number in range(count))


def uids(count: int) -> list[str]:
    return [f"u{number}" for number in range(count)]
