"""Domain names and addresses in one spelling each: two ways to write one compare as equal, and two never do."""

from __future__ import annotations

import ipaddress

import idna


def ascii_form(domain: str) -> str:
    """Return a domain in lower case and as A-labels.

    By IDNA 2008 (RFC 5891), prepared as browsers do (UTS 46, nontransitional): by the older rules straße.example would
    be strasse.example, which may be somebody else's. Raises ValueError for what is no domain name.
    """
    text = domain.strip().rstrip(".").lower()
    if text.isascii():
        return text
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f'"{domain}" is no domain name: {error}') from error


def address_key(address: str) -> str:
    """Return what all spellings of one e-mail address have in common; of any other text, of that.

    What stands before the @ compares without case as well: RFC 5321, 2.4 leaves that to the host, and no host that is
    met with tells two people by it.
    """
    text = address.strip()
    local, at, domain = text.rpartition("@")
    try:
        return f"{local.casefold()}@{ascii_form(domain)}" if at else text.casefold()
    except ValueError:
        return text.casefold()


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, as far as its name tells."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
