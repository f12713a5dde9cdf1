"""Where the one-machine runtime keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.errors import UserError

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def data_dir() -> Path:
    """The folder of one stack's state: `QC_DATA_DIR`, by default `.qc` under the project root."""
    configured = os.environ.get("QC_DATA_DIR")
    return Path(configured).expanduser().absolute() if configured else PROJECT_ROOT / ".qc"


def make_writable(folder: Path, *, setting: str = "QC_DATA_DIR") -> None:
    """Create `folder` and prove that files can be made in it.

    Raises UserError naming the folder and the setting that moves it elsewhere.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"The data folder {folder} can't be written to ({error.strerror}): "
            f"make it writable or set {setting} to another folder."
        ) from error


def cache_dir() -> Path:
    """A writable folder for what is downloaded once and shared by all stacks of this user.

    `$XDG_CACHE_HOME/quality-cycle`, else `~/.cache/quality-cycle`, else a folder under the project.
    """
    candidates: list[Path] = []
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        candidates.append(Path(xdg) / "quality-cycle")
    else:
        home = Path("~").expanduser()
        if home.is_absolute():
            candidates.append(home / ".cache" / "quality-cycle")
    for candidate in candidates:
        try:
            make_writable(candidate)
        except UserError:
            continue
        return candidate
    fallback = PROJECT_ROOT / ".qc" / "cache"
    make_writable(fallback, setting="XDG_CACHE_HOME")
    return fallback
