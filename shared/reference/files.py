"""Where the data files that ship with the package are."""

from importlib.resources import files
from pathlib import Path


class UnknownDataFile(LookupError):
    """No data file of this name ships with the package."""

    def __init__(self, name: str) -> None:
        known = ", ".join(sorted(entry.name for entry in _folder().iterdir() if entry.is_file()))
        super().__init__(f"No reference file is called {name!r}. Shipped: {known}.")
        self.name = name


def path(name: str) -> Path:
    """The path of a shipped data file such as `providers.csv`; raises `UnknownDataFile`."""
    found = _folder() / name
    if Path(name).name != name or not found.is_file():
        raise UnknownDataFile(name)
    return found


def _folder() -> Path:
    # The wheel is installed unpacked, so a resource is always a file of its own.
    return Path(str(files("shared.reference") / "data"))
