"""Whether another domain controller knows all that was read from the last one.

Every controller numbers changes by itself, so the numbers of two cannot be compared. But each keeps, for its copy of a
naming context, how far it has received the changes of every other database: a vector of invocationIds and numbers
(replUpToDateVector; MS-DRSR, UPTODATE_VECTOR_V1_EXT and _V2_EXT). A controller that was restored properly has a new
invocationId, and its own former one in the vector.
"""

from __future__ import annotations

VECTOR = "repluptodatevector"
_HEADER, _IDENTITY, _NUMBER = 16, 16, 8
_CURSOR_SIZES = {1: _IDENTITY + _NUMBER, 2: _IDENTITY + _NUMBER + 8}  # the second version adds a time


def received(vector: bytes, invocation: str) -> int | None:
    """Return how far the changes of a database, by its invocationId in hexadecimal, have been received.

    None: the vector does not say.
    """
    size = _CURSOR_SIZES.get(int.from_bytes(vector[:4], "little"))
    if size is None:
        return None
    count = int.from_bytes(vector[8:12], "little")
    wanted = bytes.fromhex(invocation)
    for start in range(_HEADER, min(_HEADER + count * size, len(vector) - size + 1), size):
        if vector[start : start + _IDENTITY] == wanted:
            return int.from_bytes(vector[start + _IDENTITY : start + _IDENTITY + _NUMBER], "little")
    return None
