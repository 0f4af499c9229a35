"""The `ldif` connector: RFC 2849 content records, and honesty about what is not."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Completeness, EntryFound, EntryUnreadable, MemberList, Name, NameKind, ReadEnded, Wanted
from connectors.ldif import LdifConnector, LdifSettings, records
from tests.ldif_text import group, person

WANTED = Wanted(frozenset({"mail"}))


def read(path: Path, text: str) -> tuple[list[str], ReadEnded]:
    path.write_text(text, encoding="utf-8")
    events = list(LdifConnector(LdifSettings(name="s", connector="ldif", file=path)).read(WANTED, None))
    assert isinstance(events[-1], ReadEnded)
    return [event.entry.dn for event in events if isinstance(event, EntryFound)], events[-1]


def test_folding_comments_base64_and_the_version_line_are_understood(tmp_path: Path) -> None:
    mail = base64.b64encode(b"z@example.com").decode()
    text = (
        "version: 1\n# a comment\n#  that goes on\n  here\ndn: cn=Zo,o=\n x\nobjectClass: person\n"
        f"entryUUID: 1\ncn:: {base64.b64encode('Zoë'.encode()).decode()}\nmail:: {mail}\n\n\n\n"
    )
    path = tmp_path / "a.ldif"
    path.write_text(text)

    ((dn, attributes),) = records(path)

    assert dn == "cn=Zo,o=x"
    assert attributes["cn"] == ["Zoë".encode()]
    assert attributes["mail"] == [b"z@example.com"]
    assert read(path, text)[1].completeness is Completeness.COMPLETE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is no LDIF\n", 'line 15: it is not "attribute: value"'),
        ("dn: o=x\nchangetype: delete\n", "line 16: this is a change record"),
        ("dn: o=x\njpegPhoto:< file:///tmp/x\n", "line 16: values from other files"),
        ("dn: o=x\ncn:: ***\n", "line 16: the value after :: is not base64"),
        ("cn: nobody\n", 'line 15: a record begins with "dn:"'),
    ],
)
def test_a_line_that_is_not_ldif_ends_the_read_partial_with_its_number(tmp_path: Path, text: str, said: str) -> None:
    good = person("u1") + "\n" * (14 - person("u1").count("\n"))

    found, end = read(tmp_path / "a.ldif", good + text)
    nothing, at_once = read(tmp_path / "b.ldif", text)

    assert len(found) == 1
    assert end.completeness is Completeness.PARTIAL
    assert said in end.reason
    assert (nothing, at_once.completeness) == ([], Completeness.FAILED)


def test_an_entry_without_an_anchor_or_with_another_s_makes_the_read_partial(tmp_path: Path) -> None:
    without = person("u1").replace("entryUUID", "description")
    found, end = read(tmp_path / "a.ldif", without + person("u2"))
    twice, second = read(tmp_path / "b.ldif", person("u1", anchor="x") + person("u2", anchor="x"))

    assert len(found) == 1
    assert end.completeness is second.completeness is Completeness.PARTIAL
    assert "has no entryuuid" in end.reason
    assert len(twice) == 1
    assert "have the same entryUUID" in second.reason


def test_an_entry_with_broken_text_is_named_and_its_absence_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ldif"
    broken = base64.b64encode(b"\xff\xfe").decode()
    path.write_text(person("u1", mail="x").replace("mail: x", f"mail:: {broken}") + person("u2"))

    events = list(LdifConnector(LdifSettings(name="s", connector="ldif", file=path)).read(WANTED, None))

    unreadable = [event for event in events if isinstance(event, EntryUnreadable)]
    assert [(event.anchor is not None, event.reason) for event in unreadable] == [
        (True, "its attribute mail is not valid UTF-8. Correct the entry in the directory.")
    ]


def test_a_group_with_a_placeholder_member_is_empty_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.ldif"
    path.write_text(group("g", "u1").replace("member: uid=u1,ou=People,dc=example,dc=com", "member:"))

    events = list(LdifConnector(LdifSettings(name="s", connector="ldif", file=path)).read(WANTED, None))

    (found,) = [event.entry for event in events if isinstance(event, EntryFound)]
    assert found.members is not None
    assert (found.members.complete, found.members.names) == (True, frozenset())


def members_of(path: Path, text: str) -> tuple[MemberList | None, ReadEnded]:
    path.write_text(text, encoding="utf-8")
    events = list(LdifConnector(LdifSettings(name="s", connector="ldif", file=path)).read(WANTED, None))
    (found,) = [event.entry for event in events if isinstance(event, EntryFound)]
    assert isinstance(events[-1], ReadEnded)
    return found.members, events[-1]


def test_a_file_cut_in_the_middle_of_a_line_is_partial_and_its_last_group_is_not_taken(tmp_path: Path) -> None:
    whole = person("u1") + group("g", "u1", "u22")

    for lost in (1, 2, 20, 60):  # the last line break of group() stands alone
        found, end = read(tmp_path / "a.ldif", whole[: -1 - lost])
        assert len(found) == 1, lost
        assert end.completeness is Completeness.PARTIAL, lost
        assert "ends in the middle of a line" in end.reason, lost
    assert read(tmp_path / "a.ldif", whole[:-1])[1].completeness is Completeness.COMPLETE


def test_one_record_twice_makes_the_read_partial(tmp_path: Path) -> None:
    found, end = read(tmp_path / "a.ldif", group("g", "u1", "u2") + group("g", "u1"))

    assert len(found) == 1
    assert end.completeness is Completeness.PARTIAL
    assert "stands in the file twice" in end.reason


def test_a_part_of_a_member_list_is_not_the_list(tmp_path: Path) -> None:
    text = group("g", "u1", "u2")

    part, partial = members_of(tmp_path / "a.ldif", text.replace("member:", "member;range=0-1499:"))
    whole, complete = members_of(tmp_path / "a.ldif", text.replace("member:", "member;range=0-*:"))

    assert part is not None
    assert whole is not None
    assert part.names == whole.names
    assert (part.complete, partial.completeness) == (False, Completeness.PARTIAL)
    assert (whole.complete, complete.completeness) == (True, Completeness.COMPLETE)


def test_a_member_that_is_no_name_leaves_the_list_incomplete_and_the_others_in_it(tmp_path: Path) -> None:
    members, end = members_of(tmp_path / "a.ldif", group("g", "u1").replace("\n\n", "\nmember: nonsense\n\n"))

    assert members is not None
    assert (len(members.names), members.complete) == (1, False)
    assert end.completeness is Completeness.COMPLETE


def test_a_group_may_name_members_in_three_ways_at_once(tmp_path: Path) -> None:
    more = "\nuniqueMember: UID=u2, o=x#'0101'B\nmemberUid: U3\nmemberUid:\n\n"

    members, _ = members_of(tmp_path / "a.ldif", group("g", "uid=u1,o=x").replace("\n\n", more))

    assert members == MemberList(
        frozenset({Name(NameKind.DN, "uid=u1,o=x"), Name(NameKind.DN, "uid=u2,o=x"), Name(NameKind.UID, "u3")})
    )


@pytest.mark.parametrize(
    ("line", "active"),
    [
        ("nsAccountLock: TRUE", False),
        ("pwdAccountLockedTime: 000001010000Z", False),
        ("pwdAccountLockedTime: 20260101000000Z", True),
        ("nsAccountLock: false", True),
    ],
)
def test_the_directory_says_who_is_inactive(tmp_path: Path, line: str, *, active: bool) -> None:
    path = tmp_path / "a.ldif"
    path.write_text(person("u1", extra=f"{line}\n"))

    events = list(LdifConnector(LdifSettings(name="s", connector="ldif", file=path)).read(WANTED, None))

    assert [event.entry.active for event in events if isinstance(event, EntryFound)] == [active]


def test_a_file_that_is_not_there_is_failed_with_the_remedy(tmp_path: Path) -> None:
    connector = LdifConnector(LdifSettings(name="s", connector="ldif", file=tmp_path / "none.ldif"))

    end = list(connector.read(WANTED, None))[-1]

    assert isinstance(end, ReadEnded)
    assert end.completeness is Completeness.FAILED
    assert "none.ldif cannot be read" in end.reason
    assert "Correct the path" in end.reason


def test_blanks_before_a_value_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.ldif"
    path.write_text("dn:   o=x\ncn:    b\n")

    assert list(records(path)) == [("o=x", {"cn": [b"b"]})]


def test_a_photograph_of_megabytes_is_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.ldif"
    path.write_text("dn: o=x\njpegPhoto:: " + "\n ".join(["A" * 76] * 80_000) + "\n")
    began = time.perf_counter()

    ((_, attributes),) = records(path)

    assert len(attributes["jpegphoto"][0]) == 76 * 80_000 * 3 // 4
    assert time.perf_counter() - began < 3  # a tenth of a second, and six when each line copies what went before


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(values=st.lists(TEXTS, min_size=1, max_size=5), fold=st.integers(5, 40))
def test_whatever_is_written_as_base64_and_folded_is_read_back(tmp_path: Path, values: list[str], fold: int) -> None:
    lines = ["dn: o=x", *(f"cn:: {base64.b64encode(value.encode()).decode()}" for value in values)]
    folded = ["\n ".join(line[i : i + fold] for i in range(0, len(line), fold)) for line in lines]
    path = tmp_path / "a.ldif"
    path.write_text("\n".join(folded) + "\n")

    assert list(records(path)) == [("o=x", {"cn": [value.encode() for value in values]})]
