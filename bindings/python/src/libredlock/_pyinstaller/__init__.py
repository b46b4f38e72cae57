"""Tells PyInstaller where its hook for this package is; the entry point `pyinstaller40` names this module."""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """Give the folder of the hook."""
    return [str(Path(__file__).parent)]
