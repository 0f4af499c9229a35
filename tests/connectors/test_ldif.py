"""The `ldif` connector: RFC 2849 content records, and honesty about what is not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Completeness, EntryFound, EntryUnreadable, ReadEnded, Wanted
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


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(values=st.lists(TEXTS, min_size=1, max_size=5), fold=st.integers(5, 40))
def test_whatever_is_written_as_base64_and_folded_is_read_back(tmp_path: Path, values: list[str], fold: int) -> None:
    lines = ["dn: o=x", *(f"cn:: {base64.b64encode(value.encode()).decode()}" for value in values)]
    folded = ["\n ".join(line[i : i + fold] for i in range(0, len(line), fold)) for line in lines]
    path = tmp_path / "a.ldif"
    path.write_text("\n".join(folded) + "\n")

    assert list(records(path)) == [("o=x", {"cn": [value.encode() for value in values]})]
