"""As much of BER (X.690) as LDAP needs: definite lengths, tags of one byte."""

from __future__ import annotations


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value: int, tag: int = 0x02) -> bytes:
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def text(value: str | bytes, tag: int = 0x04) -> bytes:
    return element(tag, value.encode() if isinstance(value, str) else value)


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element."""
    found = []
    while data:
        size = complete_size(data)
        assert 0 < size <= len(data), "an element that is cut short"
        found.append((data[0], data[_head(data) : size]))
        data = data[size:]
    return found


def complete_size(data: bytes) -> int:
    """The size of the first element with its head; 0 when there is too little to tell."""
    if len(data) < 2 or len(data) < _head(data):
        return 0
    head = _head(data)
    return head + (int.from_bytes(data[2:head], "big") if data[1] & 0x80 else data[1])


def _head(data: bytes) -> int:
    return 2 + (data[1] & 0x7F if data[1] & 0x80 else 0)
