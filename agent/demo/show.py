"""What `rollcall demo` does and tells, in the order in which it happens."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule

from agent.cli.external import show
from agent.cli.plan import rehearsal
from agent.cli.terminal import print_plan, print_report, progress_bars
from agent.connection import Connection, connect
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport, unresolved_now
from agent.demo.directory import SUFFIX, DemoDirectory
from agent.demo.service import DemoService
from agent.errors import ExitCode
from agent.observe.logs import configure_logs
from agent.population.overview import by_domain, by_group, totals
from agent.state.database import State, open_state

LEAVER = "mira.iversen"
OLD_MAIL, NEW_MAIL = "xaver.brandt@brightwater.example", "xaver.holt@brightwater.example"


def run_demo(out: Console, place: Path | None = None) -> ExitCode:
    """Run the story in `place`, or in a new temporary directory that stays afterwards."""
    place = place or Path(tempfile.mkdtemp(prefix="rollcall-demo-"))
    place.mkdir(parents=True, exist_ok=True)
    directory = DemoDirectory(place / "company.ldif")
    with DemoService() as service:
        configuration = _configuration(place, service)
        connection = connect(configuration)
        configure_logs("auto", "error", [service.token])
        _say(out, "Rollcall demo: Brightwater Shipping", "an LDIF directory, a SCIM service on loopback, real HTTP")
        out.print(f"directory  {directory.path}\nupstream   {service.url} (scim2-server, in memory)")

        _title(out, "1  Who is who in the selected groups (name:app-*)")
        with rehearsal(connection, bars=out.is_terminal) as (copy, _resolved), copy.read() as reader:
            show(out, by_domain(reader), by_group(reader), totals(reader))

        state = open_state(connection.settings.agent.state_dir)
        try:
            _title(out, "2  The first push")
            worst = [_cycle(out, connection, state, service)]
            _unknown(out, state)

            _title(out, "3  Again, with nothing changed")
            worst.append(_cycle(out, connection, state, service))

            _title(out, "4  A day in the directory")
            _a_day_passes(out, directory)
            with rehearsal(connection, bars=out.is_terminal) as (_copy, resolved):
                out.print("rollcall plan would say:")
                print_plan(out, resolved.plan, all_read=True)
            worst.append(_cycle(out, connection, state, service))
        finally:
            state.close()
    _title(out, "What is left")
    out.print(
        f"state, ledger and audit trail: {connection.settings.agent.state_dir}\n"
        f"the configuration of this demo: {configuration}\n"
        "To read a real directory: copy agent.example.toml, enter its address, an account that may read it, your SCIM\n"
        "service and the groups; then: rollcall check, rollcall plan, rollcall sync, all with --config FILE."
    )
    return max(worst, key=int)


def _a_day_passes(out: Console, directory: DemoDirectory) -> None:
    directory.join("zoe.lindqvist", "Zoe Lindqvist", "zoe.lindqvist@brightwater.example", ["app-jira"])
    out.print("joiner     Zoe Lindqvist, into app-jira")
    directory.leave(LEAVER)
    out.print(f"leaver     {LEAVER}, out of the directory and of every group")
    directory.replace(f"mail: {OLD_MAIL}", f"mail: {NEW_MAIL}")
    out.print(f"e-mail     {OLD_MAIL} is now {NEW_MAIL}")
    directory.replace("cn: app-wiki", "cn: app-knowledge")
    directory.replace(f"dn: cn=app-wiki,ou=Groups,{SUFFIX}", f"dn: cn=app-knowledge,ou=Groups,{SUFFIX}")
    directory.replace(f"member: cn=app-wiki,ou=Groups,{SUFFIX}", f"member: cn=app-knowledge,ou=Groups,{SUFFIX}")
    out.print("group      app-wiki is renamed to app-knowledge")
    directory.join("ines.moreau", "Ines Moreau", "ines.moreau@kestrel-consulting.example", ["app-jira"])
    out.print("external   Ines Moreau of kestrel-consulting.example, into app-jira")


def _cycle(out: Console, connection: Connection, state: State, service: DemoService) -> ExitCode:
    before = len(service.calls)
    with progress_bars(shown=out.is_terminal) as progress:
        report: CycleReport = run_cycle(connection, state, progress=progress)
    print_report(out, report)
    calls = Counter(f"{method} {_shape(path)}" for method, path in service.calls[before:])
    said = ", ".join(f"{number} x {call}" for call, number in sorted(calls.items())) or "no request at all"
    out.print(f"the service saw: {said}")
    return report.exit_code


def _unknown(out: Console, state: State) -> None:
    with state.read() as reader:
        for item in unresolved_now(reader):
            out.print(f"group {item['group']}: {item['members']} member that no source can name; left alone, reported")


def _shape(path: str) -> str:
    """`/v2/Users/8f3a…` and its like count as one: `/Users/{id}`."""
    parts = path.strip("/").split("/")[1:]
    return "/" + "/".join([parts[0], "{id}"] if len(parts) > 1 else parts)


def _configuration(place: Path, service: DemoService) -> Path:
    token = place / "scim.token"
    token.write_text(service.token, encoding="utf-8")
    path = place / "agent.toml"
    path.write_text(
        f"""# Written by rollcall demo. The SCIM service ends with the demo.
[agent]
state_dir = "state"

[[sources]]
name = "brightwater"
connector = "ldif"
file = "company.ldif"

[upstream]
url = "{service.url}"
token_file = "scim.token"

[scope]
groups = ["name:app-*"]

[external]
managed_domains = ["brightwater.example"]
policy = "provision"
""",
        encoding="utf-8",
    )
    return path


def _title(out: Console, text: str) -> None:
    if out.is_terminal:
        out.print()
        out.print(Rule(text, align="left", style="cyan"))
    else:
        out.print(f"\n== {text}")


def _say(out: Console, title: str, text: str) -> None:
    if out.is_terminal:
        out.print(Panel(text, title=title, title_align="left", expand=False))
    else:
        out.print(f"{title}: {text}")
