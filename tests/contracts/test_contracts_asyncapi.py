"""The AsyncAPI document: valid by the official parser, and the same as what is run."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from shared.contracts.examples import EXAMPLES, Example
from shared.contracts.generated_files import GENERATED
from shared.contracts.registry import EVENTS, PARTITIONS, Topic
from shared.messaging.topics import TOPIC_CONFIG

FOLDER = Path(__file__).parent / "asyncapi"
DOCUMENT = GENERATED / "asyncapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js with the official parser installed beside the script; installs it if npm is there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    installed = (FOLDER / "node_modules" / "@asyncapi" / "parser").is_dir()
    if node is None or not (npm or installed):
        reason = "Node.js with npm is needed for the official AsyncAPI parser and is not installed"
        if os.environ.get("CI") == "true" or os.environ.get("QC_REQUIRE_NODE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    if npm and not installed:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"npm ci failed:\n{done.stderr}"
    return node


def _validate(node: str, document: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [node, "validate.mjs", str(document)], cwd=FOLDER, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(400)
def test_the_official_parser_finds_neither_error_nor_warning(node: str) -> None:
    done = _validate(node, DOCUMENT)

    assert done.returncode == 0, done.stderr
    assert f"{len(Topic)} channels, {len(EVENTS)} messages" in done.stdout


@pytest.mark.timeout(400)
def test_the_official_parser_is_asked_in_earnest(node: str, document: dict[str, Any], tmp_path: Path) -> None:
    document = json.loads(json.dumps(document))
    document["channels"]["quality.visits.v1"]["bindings"]["kafka"]["partitions"] = "twelve"
    (tmp_path / "asyncapi.json").write_text(json.dumps(document))

    done = _validate(node, tmp_path / "asyncapi.json")

    assert done.returncode == 1
    assert "channels/quality.visits.v1/bindings/kafka/partitions" in done.stderr


def _id(example: Example) -> str:
    return example.spec.schema_name


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_the_example_of_a_message_fits_its_headers_and_payload(example: Example, document: dict[str, Any]) -> None:
    message = document["components"]["messages"][example.spec.schema_name]
    payload_schema = document["components"]["schemas"][message["payload"]["$ref"].rsplit("/", 1)[1]]

    [shown] = message["examples"]

    assert shown["payload"] == example.payload()
    assert shown["headers"] == example.headers()
    for schema, instance in ((message["headers"], shown["headers"]), (payload_schema, shown["payload"])):
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(instance)


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_the_headers_of_a_message_are_those_that_are_sent(example: Example, document: dict[str, Any]) -> None:
    headers = document["components"]["messages"][example.spec.schema_name]["headers"]
    sent = set(example.headers())
    always = {
        name for name, _ in example.envelope.model_copy(update={"causationid": None, "traceparent": None}).headers()
    }

    assert set(headers["required"]) == always
    assert set(headers["properties"]) == sent | {"ce_causationid", "ce_traceparent"}


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_a_message_without_a_required_header_breaks_the_document(example: Example, document: dict[str, Any]) -> None:
    schema = document["components"]["messages"][example.spec.schema_name]["headers"]
    for name in schema["required"]:
        headers = {other: value for other, value in example.headers().items() if other != name}
        assert not Draft202012Validator(schema).is_valid(headers), name


def test_a_channel_is_bound_as_its_topic_is_created(document: dict[str, Any]) -> None:
    assert set(document["channels"]) == {topic.value for topic in Topic}
    for address, channel in document["channels"].items():
        binding = channel["bindings"]["kafka"]
        config = binding["topicConfiguration"]
        assert binding["topic"] == channel["address"] == address
        assert binding["partitions"] == PARTITIONS
        assert {
            name: ",".join(value) if isinstance(value, list) else str(value) for name, value in config.items()
        } == TOPIC_CONFIG


def test_every_event_is_sent_once_and_followed_on_its_topic(document: dict[str, Any]) -> None:
    for spec in EVENTS:
        channel = {"$ref": f"#/channels/{spec.topic}"}
        message = {"$ref": f"#/channels/{spec.topic}/messages/{spec.schema_name}"}
        operations = [operation for operation in document["operations"].values() if message in operation["messages"]]
        assert [(operation["action"], operation["channel"]) for operation in operations] == [
            ("send", channel),
            ("receive", channel),
        ]
        assert operations[0]["tags"] == [{"name": spec.producer}]
