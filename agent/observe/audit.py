"""The audit trail: one JSON line for every write upstream, appended and never changed (invariant 14)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import orjson

from agent.operating_system import open_private_file

FILE_NAME = "audit.jsonl"


class AuditTrail:
    """Appends records. Each is handed to the operating system at once, so a killed process loses none."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._file = open_private_file(self.path, "ab")
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def record(self, **what: object) -> None:
        """Append one record; the time is added."""
        line = orjson.dumps({"at": datetime.now(UTC).isoformat(), **what}, default=str) + b"\n"
        with self._lock:
            self._file.write(line)
