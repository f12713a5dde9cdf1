"""The policy in force. Its files ship with the service; a new version is a new file, and old ones stay."""

from functools import cache
from pathlib import Path

from services.funding.domain.policy import Policy

#: Version by which outcomes are turned into proposals now.
CURRENT = "funding-policy-1"

_FOLDER = Path(__file__).parent / "domain" / "policies"


class UnknownPolicy(LookupError):
    """No shipped policy has this version."""

    def __init__(self, version: str) -> None:
        known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.json")))
        super().__init__(f"No funding policy has the version {version!r}. Shipped: {known}.")
        self.version = version


@cache
def policy(version: str = CURRENT) -> Policy:
    """The policy of a version. Raises UnknownPolicy, or pydantic.ValidationError for a file that is none."""
    file = _FOLDER / f"{version}.json"
    if Path(version).name != version or not file.is_file():
        raise UnknownPolicy(version)
    return Policy.model_validate_json(file.read_bytes())
