"""Starts Rollcall from /opt/rollcall: its own libraries first, then those of plugins, then the distribution's.

Python runs isolated (-I), so that neither the environment nor the working directory decides what is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
compiled = here / f"python{sys.version_info.major}.{sys.version_info.minor}"
# What an administrator adds (pip install --target /opt/rollcall/plugins NAME) takes nothing's place.
sys.path[0:0] = [str(here / "lib"), str(compiled), str(here / "plugins")]

from agent.cli.main import entry_point  # noqa: E402 - only now can it be found

sys.exit(entry_point())
