"""One AsyncAPI 3 document of all topics and events, derived from the registry."""

from typing import Any

from pydantic import JsonValue

from shared.contracts.envelope import CONTENT_TYPE, SPEC_VERSION, Envelope
from shared.contracts.examples import example_of
from shared.contracts.fields import Classification
from shared.contracts.registry import EVENTS, PARTITIONS, EventSpec, Topic
from shared.contracts.schemas import JsonObject, published

#: Version of the document's shape. Each event carries its own version in its type.
VERSION = "1.0.0"

_BINDING_VERSION = "0.5.0"

#: Largest record a topic takes, in bytes.
_MAX_RECORD_BYTES = 1024 * 1024

_KEY: JsonObject = {
    "type": "string",
    "pattern": "^[A-Z0-9]{3,10}$",
    "description": "ODS code of the provider the event is about, the same as header ce_partitionkey.",
}

_TOPIC_TITLES = {
    Topic.CONCERNS: ("Concerns", "Concerns about a provider through their whole life, and what they rest on."),
    Topic.VISITS: ("Visits", "Visits that are called for, scheduled and cancelled."),
    Topic.OUTCOMES: ("Outcomes", "What the panel of a visit found."),
    Topic.INVESTMENTS: (
        "Investments",
        "Changes of what is invested in a provider: proposed, made and declined.",
    ),
    Topic.NOTIFICATIONS: ("Notifications", "Messages to stakeholders: delivered, or refused for good."),
}

_DESCRIPTION = """\
Four services carry a concern about a provider of healthcare education from intelligence through a visit and
its outcome to the investment the provider receives, and tell those who must hear of it.

Every record is a CloudEvents 1.0 event in binary mode: its attributes stand in `ce_*` headers, its data as
JSON in the value. The key is the provider's ODS code, so that all that happens to one provider is in order.
`ce_sequence` counts the events of one topic, source and key without a gap. Topics are kept for ever.

Readers must ignore fields they do not know. A change that does not fit every released revision of an event
becomes a new major version, a type of its own.

Each field carries `x-classification`: `public` could stand in a published report, `partner` is for offices,
universities, regulators and providers the event concerns, `internal` for the office's own services only."""


def document() -> JsonObject:
    """The AsyncAPI 3.0 document, as plain JSON."""
    producers = {spec.producer: None for spec in EVENTS}
    content: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "id": "urn:quality-cycle:events",
        "info": {
            "title": "Quality cycle events",
            "version": VERSION,
            "description": _DESCRIPTION,
            "contact": {"name": "Quality team of the office that runs the system"},
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
            "tags": [
                {"name": producer, "description": f"Published by the {producer} service."} for producer in producers
            ],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The Kafka cluster of an office.",
                "variables": {
                    "bootstrap": {
                        "default": "127.0.0.1:8420",
                        "description": "A broker to start from; the default is the one of a local run.",
                    }
                },
            }
        },
        "channels": {topic.value: _channel(topic) for topic in Topic},
        "operations": {
            **{f"publish.{spec.schema_name}": _send(spec) for spec in EVENTS},
            **{f"follow.{topic.value}": _receive(topic) for topic in Topic},
        },
        "components": {
            "messages": {spec.schema_name: _message(spec) for spec in EVENTS},
            "schemas": {spec.schema_name: _payload(spec) for spec in EVENTS},
        },
    }
    return content


def _channel(topic: Topic) -> JsonObject:
    title, description = _TOPIC_TITLES[topic]
    return {
        "address": topic.value,
        "title": title,
        "description": description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {
            spec.schema_name: {"$ref": f"#/components/messages/{spec.schema_name}"} for spec in _events_of(topic)
        },
        "bindings": {
            "kafka": {
                "topic": topic.value,
                "partitions": PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": -1,
                    "retention.bytes": -1,
                    "max.message.bytes": _MAX_RECORD_BYTES,
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _send(spec: EventSpec) -> JsonObject:
    return {
        "action": "send",
        "title": f"Publish {spec.name}",
        "summary": f"The {spec.producer} service publishes {spec.name}.",
        "channel": {"$ref": _reference(spec.topic)},
        "messages": [_message_reference(spec)],
        "tags": [{"name": spec.producer}],
    }


def _receive(topic: Topic) -> JsonObject:
    return {
        "action": "receive",
        "title": f"Follow {_TOPIC_TITLES[topic][0].lower()}",
        "summary": "Any service that reacts to these events, each in a consumer group of its own.",
        "channel": {"$ref": _reference(topic)},
        "messages": [_message_reference(spec) for spec in _events_of(topic)],
    }


def _message(spec: EventSpec) -> JsonObject:
    example = example_of(spec)
    return {
        "name": spec.type,
        "title": spec.model.__name__,
        "summary": spec.summary,
        "contentType": CONTENT_TYPE,
        "correlationId": {
            "location": "$message.header#/ce_correlationid",
            "description": "The concern that started the cycle.",
        },
        "tags": [{"name": spec.producer}, {"name": spec.classification.value}],
        "headers": headers_schema(spec),
        "payload": {"$ref": f"#/components/schemas/{spec.schema_name}"},
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": _BINDING_VERSION}},
        "examples": [
            {
                "name": spec.model.__name__,
                "summary": "At a provider that does not exist.",
                "headers": dict[str, JsonValue](example.headers()),
                "payload": example.payload(),
            }
        ],
    }


def headers_schema(spec: EventSpec) -> JsonObject:
    """JSON Schema of the headers of an event's record, each decoded as UTF-8."""
    special: dict[str, JsonObject] = {
        "source": {"pattern": f"^/[a-z0-9-]{{1,60}}/{spec.producer}$"},
        "type": {"const": spec.type},
        "dataschema": {"const": spec.dataschema},
        # Not the event's own: a field added later may make it narrower than what was written before.
        "dataclassification": {"enum": [classification.value for classification in Classification]},
    }
    properties: JsonObject = {
        "content-type": {"type": "string", "const": CONTENT_TYPE, "description": "Media type of the value."},
        "ce_specversion": {"type": "string", "const": SPEC_VERSION, "description": "Version of CloudEvents."},
    }
    required: list[JsonValue] = ["content-type", "ce_specversion"]
    envelope = Envelope.model_json_schema(by_alias=True)
    for name, attribute in envelope["properties"].items():
        constraints = special.get(name) or _constraints(attribute)
        properties[f"ce_{name}"] = {"type": "string", **constraints, "description": attribute["description"]}
        if name in envelope["required"]:
            required.append(f"ce_{name}")
    return {"type": "object", "required": required, "properties": properties}


def _constraints(attribute: dict[str, Any]) -> JsonObject:
    """Those of an attribute as text: a header is a string, and absent where the attribute is null."""
    present = next((branch for branch in attribute.get("anyOf", []) if branch["type"] != "null"), attribute)
    if present.get("type") == "integer":
        return {"pattern": "^[1-9][0-9]{0,18}$"}
    return {name: present[name] for name in ("format", "pattern", "minLength", "maxLength") if name in present}


def _payload(spec: EventSpec) -> JsonObject:
    # The document names the dialect of all its schemas itself.
    return {keyword: value for keyword, value in published(spec).items() if keyword != "$schema"}


def _events_of(topic: Topic) -> list[EventSpec]:
    return [spec for spec in EVENTS if spec.topic is topic]


def _reference(topic: Topic) -> str:
    return f"#/channels/{topic.value}"


def _message_reference(spec: EventSpec) -> JsonObject:
    return {"$ref": f"{_reference(spec.topic)}/messages/{spec.schema_name}"}
