"""`rollcall demo`: the whole product on an embedded directory and an embedded SCIM service."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

from rich.console import Console

from agent.cli.terminal import console
from agent.errors import ExitCode, UsageProblem

_WIDTH = 118


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command. It needs no configuration file, so it takes none."""
    del common
    parser = commands.add_parser("demo", help="the whole product, embedded; needs nothing and asks nothing")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where to work (default: a new temporary directory)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw what a terminal shows into an SVG file")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> ExitCode:
    """Tell the story on the terminal, or into a picture."""
    # Imported here: the demo's service is an extra package that the other commands do not need.
    from agent.demo.show import run_demo  # noqa: PLC0415

    if options.dir is not None and options.dir.exists() and any(options.dir.iterdir()):
        raise UsageProblem(f"The directory {options.dir} is not empty. Name another with --dir, or leave it out.")
    if options.picture is None:
        return run_demo(console(), options.dir)
    drawn = Console(
        record=True, force_terminal=True, width=_WIDTH, file=io.StringIO(), highlight=False, emoji=False, markup=False
    )
    code = run_demo(drawn, options.dir)
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(drawn.export_svg(title="rollcall demo"), encoding="utf-8")
    console().print(f"the picture is in {options.picture}")
    return code
