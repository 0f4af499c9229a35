"""A series of changes to a directory, as an administrator makes them: (what, the change records).

People are below ou=People and ou=Partners, groups below ou=Groups, all within ou=Company; ou=Elsewhere is not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.ldif_text import SUFFIX

COMPANY = f"ou=Company,{SUFFIX}"
PEOPLE, PARTNERS, GROUPS = f"ou=People,{COMPANY}", f"ou=Partners,{COMPANY}", f"ou=Groups,{COMPANY}"
ELSEWHERE = f"ou=Elsewhere,{SUFFIX}"
MANY = 500


def beginning() -> str:
    """The content before the first change."""
    units = "".join(
        f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn[3:].partition(',')[0]}\n\n"
        for dn in (COMPANY, PEOPLE, PARTNERS, GROUPS, ELSEWHERE)
    )
    people = "".join(_person(f"u{number}") for number in range(30))
    groups = _group("app-a", *(f"u{number}" for number in range(10)))
    groups += _group("app-b", *(f"u{number}" for number in range(5, 15))) + _group("team-x", "u20", "u21", "u22")
    return units + people + groups


def changes() -> Iterator[tuple[str, str]]:
    yield "a person is added", _add(_person("new"))
    yield "and joins a group", _members("app-a", "add", "new")
    yield "a family name changes", _replace(_dn("u1"), "sn", "Changed")
    yield "an address changes", _replace(_dn("u1"), "mail", "u1.changed@example.com")
    yield "an address changes only in case", _replace(_dn("u2"), "mail", "U2@example.com")
    yield "a given name is removed", _replace(_dn("u3"), "givenName")
    yield "the given name comes back", _replace(_dn("u3"), "givenName", "Third")
    yield "a person is renamed", _rename(_dn("u4"), "uid=u4-renamed")
    yield "and renamed back", _rename(_dn("u4-renamed"), "uid=u4")
    yield "a person moves to another unit", _rename(_dn("u5"), "uid=u5", PARTNERS)
    yield "an external person is added", _add(_person("guest", mail="guest@partner.example", unit=PARTNERS))
    yield (
        "and joins two groups",
        _members("app-a", "add", "guest", unit=PARTNERS) + _members("app-b", "add", "guest", unit=PARTNERS),
    )
    yield "and leaves one of them", _members("app-a", "delete", "guest", unit=PARTNERS)
    yield "a member leaves a group and is in another", _members("app-a", "delete", "u6")
    yield "a member leaves its last group", _members("app-a", "delete", "u0")
    yield "the member returns", _members("app-a", "add", "u0")
    yield (
        "a member leaves one group and joins another at once",
        _members("app-a", "delete", "u7") + _members("team-x", "add", "u7"),
    )
    yield "a group is nested", _members("app-a", "add", group="team-x")
    yield "somebody joins the nested group", _members("team-x", "add", "u23")
    yield "somebody leaves the nested group", _members("team-x", "delete", "u20")
    yield "the nested group is renamed", _rename(_group_dn("team-x"), "cn=team-y")
    yield "somebody joins it under its new name", _members("team-y", "add", "u24")
    yield "two groups contain each other", _members("team-y", "add", group="app-a")
    yield "they no longer do", _members("team-y", "delete", group="app-a")
    yield "the nested group is taken out", _members("app-a", "delete", group="team-y")
    yield "a group is added", _add(_group("app-c", "u25", "u26", "u27"))
    yield "a group is renamed", _rename(_group_dn("app-c"), "cn=app-d")
    yield "a group is renamed out of the scope", _rename(_group_dn("app-d"), "cn=club-d")
    yield "the group is renamed back into it", _rename(_group_dn("club-d"), "cn=app-d")
    yield "a group moves out of the base", _rename(_group_dn("app-d"), "cn=app-d", ELSEWHERE)
    yield "the group moves back", _rename(f"cn=app-d,{ELSEWHERE}", "cn=app-d", GROUPS)
    yield "a person leaves the filter", _replace(_dn("u8"), "employeeType", "left")
    yield "and answers to it again", _replace(_dn("u8"), "employeeType")
    yield "a person moves out of the base", _rename(_dn("u9"), "uid=u9", ELSEWHERE)
    yield "the person moves back", _rename(f"uid=u9,{ELSEWHERE}", "uid=u9", PEOPLE)
    yield "a person is deleted", _delete(_dn("u10"))
    yield "and somebody else gets the name", _add(_person("u10", mail="another@example.com"))
    yield "a person is deleted and made again at once", _delete(_dn("u11")) + _add(_person("u11"))
    yield "a group is deleted", _delete(_group_dn("app-d"))
    yield "and made again with others", _add(_group("app-d", "u28", "u29"))
    yield (
        "two people swap their names",
        _rename(_dn("u12"), "uid=swap") + _rename(_dn("u13"), "uid=u12") + _rename(_dn("swap"), "uid=u13"),
    )
    yield (
        "a unit that nobody uses is added",
        f"dn: ou=Spare,{COMPANY}\nchangetype: add\n" + ("objectClass: organizationalUnit\nou: Spare\n\n"),
    )
    yield "a whole unit is renamed", _rename(PARTNERS, "ou=Friends")
    yield "a whole unit moves out of the base", _rename(f"ou=Friends,{COMPANY}", "ou=Friends", ELSEWHERE)
    yield "the unit moves back", _rename(f"ou=Friends,{ELSEWHERE}", "ou=Friends", COMPANY)
    crowd = [f"c{number}" for number in range(MANY)]
    yield "many are added at once", "".join(_add(_person(uid)) for uid in crowd) + _add(_group("app-crowd", *crowd))
    yield "many change at once", "".join(_replace(_dn(uid), "sn", "Crowd") for uid in crowd)
    yield "many leave at once", "".join(_delete(_dn(uid)) for uid in crowd[:400])
    yield "and the last change is a small one", _replace(_dn("u1"), "sn", "Example")


def _dn(uid: str, unit: str = PEOPLE) -> str:
    return f"uid={uid},{unit}"


def _group_dn(name: str) -> str:
    return f"cn={name},{GROUPS}"


def _person(uid: str, *, mail: str = "", unit: str = PEOPLE) -> str:
    return (
        f"dn: {_dn(uid, unit)}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid.title()} Example\nsn: Example\n"
        f"givenName: {uid.title()}\nmail: {mail or uid + '@example.com'}\n\n"
    )


def _group(name: str, *uids: str) -> str:
    members = "".join(f"member: {_dn(uid)}\n" for uid in uids)
    return f"dn: {_group_dn(name)}\nobjectClass: groupOfNames\ncn: {name}\n{members}\n"


def _add(record: str) -> str:
    first, _, rest = record.partition("\n")
    return f"{first}\nchangetype: add\n{rest}"


def _delete(dn: str) -> str:
    return f"dn: {dn}\nchangetype: delete\n\n"


def _replace(dn: str, attribute: str, *values: str) -> str:
    lines = "".join(f"{attribute}: {value}\n" for value in values)
    return f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{lines}\n"


def _rename(dn: str, rdn: str, superior: str = "") -> str:
    moved = f"newsuperior: {superior}\n" if superior else ""
    return f"dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\n{moved}\n"


def _members(name: str, how: str, uid: str = "", *, unit: str = PEOPLE, group: str = "") -> str:
    member = _group_dn(group) if group else _dn(uid, unit)
    return f"dn: {_group_dn(name)}\nchangetype: modify\n{how}: member\nmember: {member}\n\n"
