"""Undoes what newer versions have added to a state, for tests of what an older one left behind."""

from __future__ import annotations

TO_SCHEMA_11 = "alter table cycle drop column records; alter table entry drop column old_list;"
