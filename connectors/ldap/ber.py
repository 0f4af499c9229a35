"""As much of BER (X.690) as the messages of a directory need: definite lengths, tags of one byte (RFC 4511, 5.1)."""

from __future__ import annotations

from collections.abc import Iterator

BOOLEAN, INTEGER, OCTET_STRING, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
_LONG_FORM = 0x80


class Malformed(ValueError):
    """A message is not what its RFC says it is."""


def element(tag: int, content: bytes) -> bytes:
    """Return one element."""
    if len(content) < _LONG_FORM:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(length)]) + length + content


def head(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Return the tag of the element at `position`, and where its content begins and ends.

    `end` is where the element around it ends. Raises Malformed when it is cut short.
    """
    begin = position + 2
    if begin > end:
        raise Malformed("an element without a length")
    length = data[position + 1]
    if length & _LONG_FORM:
        digits = length & ~_LONG_FORM
        if digits == 0:
            raise Malformed("an element of indefinite length, which LDAP does not allow")
        length = int.from_bytes(data[begin : begin + digits], "big")
        begin += digits
    if begin + length > end:
        raise Malformed("an element that is cut short")
    return data[position], begin, begin + length


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of the elements in `data`. Raises Malformed."""
    position, end = 0, len(data)
    while position < end:
        tag, begin, position = head(data, position, end)
        yield tag, data[begin:position]


def single(data: bytes) -> tuple[int, bytes]:
    """Return tag and content of the one element that `data` is. Raises Malformed."""
    found = list(elements(data))
    if len(found) != 1:
        raise Malformed(f"{len(found)} elements where one was expected")
    return found[0]


def only(data: bytes, expected: int) -> bytes:
    """Return the content of the one element that `data` is, which has to have this tag. Raises Malformed."""
    tag, content = single(data)
    if tag != expected:
        raise Malformed(f"an element {tag:#x} where {expected:#x} was expected")
    return content
