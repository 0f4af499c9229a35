"""The tests of single parts, run by a real Windows Python below Wine."""

from __future__ import annotations

import re
from pathlib import Path

from tests.installed.parts import ROOT, windows_test_tools
from tests.installed.wine import Wine, with_rollcall

# What asks no server and no account of Linux for anything.
FILES = (
    "tests/connectors/test_distinguished_name.py",
    "tests/connectors/test_ldif.py",
    "tests/connectors/test_search_result_entry.py",
    "tests/directory",
    "tests/installed/on_windows",
    "tests/observe/test_audit_file.py",
    "tests/observe/test_endpoint.py",
    "tests/observe/test_health.py",
    "tests/population/test_guests.py",
    "tests/population/test_same_person_keys.py",
    "tests/population/test_template.py",
    "tests/service/test_service_control_manager.py",
    "tests/service/test_windows_names.py",
    "tests/service/test_log_file.py",
    "tests/test_health_settings.py",
    "tests/test_schedule.py",
    "tests/upstream",
)
RUN = """
import os, sys
sys.path[0:0] = [{tools!r}, {root!r}]
os.chdir({root!r})
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp", r"C:\\tests", *{files!r}]))
"""


def test_the_parts_do_on_windows_what_they_do_elsewhere(tmp_path: Path) -> None:
    tools = windows_test_tools()
    with Wine(tmp_path / "prefix", with_rollcall()) as wine:
        script = RUN.format(tools=f"Z:{tools}", root=f"Z:{ROOT}", files=list(FILES))
        printed = wine.python(script, code=None, timeout=280)

    last = printed.strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ passed.* in .*", last), printed
    assert int(last.split()[0]) > 150
