"""Policies as versioned data: files that ship with a stage, each read, checked and known by its version.

A policy is what an office decides for itself: by which rules something is proposed, or by when it is due. Each version
is a JSON file of its own, named after the version it states. A file that was in use is never edited; a change is a new
file, so that what a policy led to can always be read beside the rules that led to it.
"""

from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

P = TypeVar("P", bound=BaseModel)


class UnknownPolicy(LookupError):
    """No policy of this version ships. The message names those that do."""

    def __init__(self, version: str, shipped: list[str]) -> None:
        super().__init__(f"No policy has the version {version!r}. Shipped: {', '.join(shipped) or 'none'}.")
        self.version = version


class BrokenPolicy(ValueError):
    """A file is no policy of its kind. The message says which file, where in it, why, and what to do."""

    def __init__(self, file: Path, faults: list[tuple[str, str]]) -> None:
        said = "; ".join(f"{place or 'the whole file'}: {reason}" for place, reason in faults)
        super().__init__(f"{file.name} is no policy that can be used: {said}. Mend the file, or name another version.")
        self.file = file
        #: (place in the file, such as ``rules.0.code``; reason) pairs.
        self.faults = faults


class PolicyFiles(Generic[P]):
    """All shipped versions of one policy, and which of them is in force.

    The model of a policy has a field ``version``, is frozen and forbids what it does not know: a misspelt rule must not
    pass for one that does not apply.
    """

    def __init__(self, folder: Path, model: type[P], *, current: str) -> None:
        """``folder`` may hold the files of other policies too; ``current`` is the version in force."""
        self._folder = folder
        self._model = model
        #: The version that is applied now.
        self.current = current
        self._read = cache(self._checked)

    def load(self, version: str | None = None) -> P:
        """The policy of a version, or the one in force. Raises UnknownPolicy and BrokenPolicy."""
        return self._read(version or self.current)

    def _checked(self, version: str) -> P:
        # Looked up among the names there are: a version can come from outside, and a path must never be made of it.
        shipped = {path.stem: path for path in self._folder.glob(f"{self.current.rstrip('0123456789')}*.json")}
        file = shipped.get(version)
        if file is None:
            raise UnknownPolicy(version, sorted(shipped))
        try:
            policy = self._model.model_validate_json(file.read_bytes())
        except ValidationError as error:
            faults = [(".".join(str(part) for part in e["loc"]), e["msg"]) for e in error.errors(include_input=False)]
            raise BrokenPolicy(file, faults) from error
        stated = getattr(policy, "version", None)
        if stated != version:
            raise BrokenPolicy(file, [("version", f"states {stated!r}; a file is named after the version it states")])
        return policy
