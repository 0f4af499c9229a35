"""Search result entries on the wire are taken apart as ldap3 does it, and never half."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import search_result_entry_response_to_dict_fast
from ldap3.utils.asn1 import decode_message_fast

from connectors.ldap.ber import Malformed
from connectors.ldap.search_result_entry import read_entry
from tests.servers.ber import element, integer, text

_TYPES = st.from_regex(r"[a-z][a-z0-9-]{0,20}(;lang-[a-z]{2})?", fullmatch=True)
_ATTRIBUTES = st.dictionaries(_TYPES, st.lists(st.binary(max_size=300), min_size=1, max_size=5), max_size=8)


def message(dn: str, attributes: dict[str, list[bytes]], *controls: bytes) -> bytes:
    listed = [element(0x30, text(key), element(0x31, *map(text, values))) for key, values in attributes.items()]
    entry = element(0x64, text(dn), element(0x30, *listed))
    return element(0x30, integer(7), entry, *([element(0xA0, *controls)] if controls else []))


@given(st.text(max_size=200), _ATTRIBUTES)
def test_it_is_understood_as_ldap3_understands_it(dn: str, attributes: dict[str, list[bytes]]) -> None:
    wire = message(dn, attributes)

    entry = read_entry(wire)

    assert entry is not None
    assert (entry.message_id, entry.found.dn, entry.found.attributes) == (7, dn, attributes)
    theirs = search_result_entry_response_to_dict_fast(
        decode_message_fast(wire)["payload"], None, None, check_names=False
    )
    assert {key: list(values) for key, values in theirs["raw_attributes"].items()} == attributes


def test_controls_come_with_their_values() -> None:
    critical, without_value = element(0x01, b"\xff"), element(0x30, text("1.2.4"))
    entry = read_entry(message("dc=x", {}, element(0x30, text("1.2.3"), critical, text(b"\0\1")), without_value))

    assert entry is not None
    assert entry.controls == {"1.2.3": b"\0\1", "1.2.4": b""}


def test_another_message_is_left_to_others() -> None:
    done = element(0x30, integer(7), element(0x65, integer(0, 0x0A), text(""), text("")))

    assert read_entry(done) is None


@given(st.integers(0, 300))
def test_a_message_cut_anywhere_is_no_entry(length: int) -> None:
    wire = message("uid=u1,dc=example", {"mail": [b"u1@example.com"], "member": [b"x" * 150] * 2})

    with pytest.raises(Malformed):
        read_entry(wire[: min(length, len(wire) - 1)])


@given(st.integers(0, 100), st.integers(0, 255))
def test_a_byte_that_changed_raises_nothing_unforeseen(position: int, byte: int) -> None:
    wire = bytearray(
        message("uid=u1,dc=example", {"mail": [b"u1@example.com"], "sn": [b"U"]}, element(0x30, text("1")))
    )
    wire[position % len(wire)] = byte

    with contextlib.suppress(Malformed):
        read_entry(bytes(wire))


def test_a_length_that_is_not_told_is_refused() -> None:
    indefinite = b"\x31\x80" + text("uid=u1") + b"\0\0"
    wire = element(
        0x30, integer(7), element(0x64, text("cn=g"), element(0x30, element(0x30, text("member"), indefinite)))
    )

    with pytest.raises(Malformed, match="indefinite"):
        read_entry(wire)


@pytest.mark.parametrize("place", range(4))
def test_nothing_may_follow_what_is_understood(place: int) -> None:
    more = [text("left over") if number == place else b"" for number in range(4)]
    attribute = element(0x30, text("member"), element(0x31, text("uid=u1")), more[0])
    entry = element(0x64, text("cn=g"), element(0x30, attribute), more[1])
    controls = element(0xA0, element(0x30, text("1.2.3"))) + more[2]

    with pytest.raises(Malformed):
        read_entry(element(0x30, integer(7), entry, controls) + more[3])
