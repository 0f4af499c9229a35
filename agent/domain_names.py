"""Domain names as the DNS has them, so that two ways to write one compare as equal, and two domains never do."""

from __future__ import annotations

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
