"""Distinguished names: equal when the directory would call them equal, however they are written (RFC 4514).

A normalised name has lower-case short attribute types, values without case and without needless blanks (RFC 4518,
as the matching rules of naming attributes want it), sorted parts in a multi-valued RDN, and one way of escaping.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# The types RFC 4514 names, and those that directories use in names; either form may be met.
_SHORT_NAMES = {
    "2.5.4.3": "cn",
    "2.5.4.4": "sn",
    "2.5.4.5": "serialnumber",
    "2.5.4.6": "c",
    "2.5.4.7": "l",
    "2.5.4.8": "st",
    "2.5.4.9": "street",
    "2.5.4.10": "o",
    "2.5.4.11": "ou",
    "2.5.4.42": "givenname",
    "0.9.2342.19200300.100.1.1": "uid",
    "0.9.2342.19200300.100.1.25": "dc",
    "1.2.840.113549.1.9.1": "email",
    "commonname": "cn",
    "surname": "sn",
    "countryname": "c",
    "localityname": "l",
    "stateorprovincename": "st",
    "streetaddress": "street",
    "organizationname": "o",
    "organizationalunitname": "ou",
    "userid": "uid",
    "domaincomponent": "dc",
}
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+")
_ORDINARY = re.compile(r"[a-z][a-z0-9-]*=[a-z0-9@._-](?:[a-z0-9@._ '()-]*[a-z0-9@._)'-])?")
_HEX_PAIR = re.compile(r"[0-9A-Fa-f]{2}")
_MUST_ESCAPE = frozenset('"+,;<>\\')


_Part = tuple[str, str, bool]  # type, value, and whether the value is still in its #hexadecimal form


class DistinguishedNameError(ValueError):
    """A text that is no distinguished name."""


def normalise(dn: str) -> str:
    """Return the one spelling of a name. Raises DistinguishedNameError.

    The empty name (the root of the directory) is itself.
    """
    lowered = dn.lower()
    if dn.isascii() and "\\" not in dn and '"' not in dn:
        # By far the most names need no more than this.
        parts = [part.strip() for part in lowered.split(",")]
        if all(
            _ORDINARY.fullmatch(part) and "  " not in part and part.partition("=")[0] not in _SHORT_NAMES
            for part in parts
        ):
            return ",".join(parts)
    return ",".join(_joined(rdn) for rdn in _parsed(dn))


def is_under(dn: str, base: str) -> bool:
    """Tell whether a normalised name is `base` or lies below it."""
    if not base or dn == base:
        return True
    head = dn.removesuffix(f",{base}")
    # A comma after an odd number of backslashes belongs to a value and parts nothing.
    return head != dn and (len(head) - len(head.rstrip("\\"))) % 2 == 0


def domain_of(dn: str) -> str:
    """Return the DNS name that the dc parts at the end of a normalised name make (RFC 2247); empty without any."""
    labels: list[str] = []
    while dn:
        head, _, last = dn.rpartition(",")
        # As in is_under: such a comma parts nothing.
        if not last.startswith("dc=") or (len(head) - len(head.rstrip("\\"))) % 2:
            break
        labels.insert(0, last.removeprefix("dc="))
        dn = head
    return ".".join(labels)


def relative_name(dn: str) -> str:
    """Return the first part of a name, normalised. Raises DistinguishedNameError."""
    return next((_joined(rdn) for rdn in _parsed(dn)), "")


def first_value(dn: str) -> str:
    """Return the value of the first part, unescaped and as it was written. Raises DistinguishedNameError."""
    for rdn in _parsed(dn):
        return rdn[0][1]
    raise DistinguishedNameError("the name is empty")


def _joined(rdn: list[_Part]) -> str:
    return "+".join(sorted(f"{kind}={value if encoded else _escaped(_folded(value))}" for kind, value, encoded in rdn))


def _folded(value: str) -> str:
    # RFC 4518: compatibility normalisation, no case, runs of blanks as one. Folding can undo the normal form, so
    # it is made twice.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    return " ".join(folded.split())


def _escaped(value: str) -> str:
    out = []
    for position, character in enumerate(value):
        at_start, at_end = position == 0, position == len(value) - 1
        if character == "\0":
            out.append("\\00")
        elif character in _MUST_ESCAPE or (at_start and character in " #") or (at_end and character == " "):
            out.append(f"\\{character}")
        else:
            out.append(character)
    return "".join(out)


def _parsed(dn: str) -> Iterator[list[_Part]]:
    """Yield the RDNs, each a list of its parts."""
    if not dn.strip():
        return
    position = 0
    rdn: list[_Part] = []
    while True:
        kind, position = _type(dn, position)
        value, encoded, position = _value(dn, position)
        rdn.append((kind, value, encoded))
        if position >= len(dn):
            yield rdn
            return
        separator = dn[position]
        position += 1
        if separator in ",;":  # RFC 2253 still allowed the semicolon
            yield rdn
            rdn = []


def _type(dn: str, position: int) -> tuple[str, int]:
    equals = dn.find("=", position)
    if equals < 0:
        raise DistinguishedNameError(f'"{dn}": a part has no "="')
    kind = dn[position:equals].strip()
    if kind.lower().startswith("oid."):
        kind = kind[4:]
    if not _TYPE.fullmatch(kind):
        raise DistinguishedNameError(f'"{dn}": "{kind}" is not an attribute type')
    return _SHORT_NAMES.get(kind.lower(), kind.lower()), equals + 1


def _value(dn: str, position: int) -> tuple[str, bool, int]:
    while position < len(dn) and dn[position] == " ":
        position += 1
    if position < len(dn) and dn[position] == "#":
        return _hexadecimal(dn, position)
    raw, significant, quoted = bytearray(), 0, False
    while position < len(dn):
        character = dn[position]
        if character == "\\":
            unescaped, position = _unescaped(dn, position)
            raw += unescaped
            significant = len(raw)
            continue
        if character == '"':
            quoted = not quoted
            significant = len(raw)
        elif not quoted and character in ",;+":
            break
        else:
            raw += character.encode("utf-8", "surrogatepass")
            if character != " ":
                significant = len(raw)
        position += 1
    if quoted:
        raise DistinguishedNameError(f'"{dn}": a quotation mark is never closed')
    try:
        return bytes(raw[:significant]).decode("utf-8"), False, position
    except UnicodeDecodeError:
        raise DistinguishedNameError(f"{dn!r}: a value is not UTF-8") from None


def _unescaped(dn: str, position: int) -> tuple[bytes, int]:
    pair = dn[position + 1 : position + 3]
    if _HEX_PAIR.fullmatch(pair):
        return bytes.fromhex(pair), position + 3
    if not pair:
        raise DistinguishedNameError(f'"{dn}": ends in a backslash')
    return pair[0].encode("utf-8", "surrogatepass"), position + 2


def _hexadecimal(dn: str, position: int) -> tuple[str, bool, int]:
    end = position + 1
    while end < len(dn) and dn[end] in "0123456789abcdefABCDEF":
        end += 1
    digits = dn[position + 1 : end]
    while end < len(dn) and dn[end] == " ":
        end += 1
    if not digits or len(digits) % 2 or (end < len(dn) and dn[end] not in ",;+"):
        raise DistinguishedNameError(f'"{dn}": "#" is not followed by a value in hexadecimal')
    encoded = bytes.fromhex(digits)
    # A BER string of fewer than 128 bytes: tag, length, content. Anything else keeps its hexadecimal form.
    if len(encoded) > 1 and encoded[0] in {0x0C, 0x13, 0x16} and encoded[1] == len(encoded) - 2:
        try:
            return encoded[2:].decode("utf-8"), False, end
        except UnicodeDecodeError:
            pass
    return f"#{digits.lower()}", True, end
