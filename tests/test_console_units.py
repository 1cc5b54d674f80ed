"""The console's own unit tests, which are TypeScript: what is computed there without a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("what", ["test", "check"])
def test_the_sources_of_the_console(what: str) -> None:
    """`test` runs vitest, `check` looks at the types."""
    command = [sys.executable, str(ROOT / "scripts" / "build_console.py"), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
