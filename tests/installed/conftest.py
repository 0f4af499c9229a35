"""What is collected where."""

from __future__ import annotations

import sys

# These run below Wine, by test_units_on_windows.py.
collect_ignore = [] if sys.platform == "win32" else ["on_windows"]
