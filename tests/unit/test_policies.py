"""Policies as versioned files: each is checked as it is read, and says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from shared.policies import BrokenPolicy, PolicyFiles, UnknownPolicy

ROOT = Path(__file__).resolve().parents[2]


class Tea(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    minutes: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "tea-policy-1", minutes=3)
    write(tmp_path, "tea-policy-2", minutes=4)
    write(tmp_path, "coffee-policy-1", minutes=5)
    return tmp_path


def write(folder: Path, name: str, **content: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"version": name, **content}), encoding="utf-8")


def test_the_version_in_force_is_read_unless_another_is_asked_for(folder: Path) -> None:
    policies = PolicyFiles(folder, Tea, current="tea-policy-2")
    assert policies.load() == Tea(version="tea-policy-2", minutes=4)
    assert policies.load("tea-policy-1").minutes == 3
    assert policies.current == "tea-policy-2"


def test_a_file_is_read_once(folder: Path) -> None:
    policies = PolicyFiles(folder, Tea, current="tea-policy-2")
    first = policies.load()
    (folder / "tea-policy-2.json").unlink()
    assert policies.load("tea-policy-2") is first


@pytest.mark.parametrize(
    "version", ["tea-policy-3", "../tea-policy-1", "tea-policy-1.json", "coffee-policy-1", "t" * 5000, "\0"]
)
def test_a_version_that_does_not_ship_is_named_with_those_that_do(folder: Path, version: str) -> None:
    policies = PolicyFiles(folder, Tea, current="tea-policy-3")
    with pytest.raises(UnknownPolicy, match=r"Shipped: tea-policy-1, tea-policy-2\.$"):
        policies.load(version)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"minutes": "long"}, r"tea-policy-1\.json .* minutes: Input should be a valid integer"),
        ({"minutes": 3, "minuets": 3}, r"minuets: Extra inputs are not permitted"),
        ({}, r"minutes: Field required"),
        ({"minutes": 3, "version": "tea-policy-2"}, r"states 'tea-policy-2'"),
    ],
)
def test_a_file_that_is_no_such_policy_is_refused_with_the_place(
    folder: Path, content: dict[str, Any], complaint: str
) -> None:
    write(folder, "tea-policy-1", **content)
    with pytest.raises(BrokenPolicy, match=complaint) as caught:
        PolicyFiles(folder, Tea, current="tea-policy-1").load()
    assert caught.value.faults


def test_text_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "tea-policy-1.json").write_text("{", encoding="utf-8")
    with pytest.raises(BrokenPolicy, match="the whole file: Invalid JSON"):
        PolicyFiles(folder, Tea, current="tea-policy-1").load()


@pytest.mark.parametrize(
    "file", sorted((ROOT / "services").glob("*/domain/policies/*.json")), ids=lambda path: path.stem
)
def test_every_shipped_policy_states_the_version_it_is_named_after_and_whose_it_is(file: Path) -> None:
    content = json.loads(file.read_bytes())
    assert content["version"] == file.stem
    assert content["note"]
