"""Files that settings name, where it is not as it should be."""

from __future__ import annotations

from pathlib import Path

from connectors.files import why_no_file
from tests.unprivileged import as_nobody


def test_a_file_that_this_account_cannot_get_at_is_told_and_raises_nothing(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "ca.pem").write_text("")
    closed.chmod(0)
    with as_nobody():
        why = why_no_file(closed / "ca.pem")
    closed.chmod(0o700)

    assert why == "cannot be reached (Permission denied)"
    assert [why_no_file(path) for path in (closed, closed / "b.pem")] == ["does not exist"] * 2
    assert why_no_file(closed / "ca.pem") == ""
