"""CloudEvents of inference loggers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.capture.events import BATCH_TYPE, MAX_EVENTS, STRUCTURED_TYPE, read_event, read_events
from exporter.errors import MalformedError, RequestError
from tests.support.kserve_logger import Agent, rfc3339

AT = 1_796_032_800.123456


def test_attributes_of_kserves_logger() -> None:
    agent = Agent("fraud", "shop", "canary", annotations={"monitoring/version": "3"})
    event = read_event(agent.headers("request", "7", AT), b"{}")
    assert (event.half, event.id, event.service, event.namespace) == ("request", "7", "fraud", "shop")
    assert (event.endpoint, event.component, event.source) == ("canary", "predictor", agent.pod)
    assert event.at == pytest.approx(AT, abs=1e-6)
    assert event.measured
    assert event.annotations == {"monitoring/version": "3"}
    assert event.origin == "shop/fraud@canary"
    response = read_event(agent.headers("response", "7", AT + 1), b"{}")
    assert (response.half, response.key) == ("response", event.key)


def test_older_releases_tell_the_time_of_sending() -> None:
    event = read_event(Agent(records_time=False).headers("request", "7", AT), b"")
    assert (event.at, event.measured) == (pytest.approx(AT, abs=1e-6), False)


@pytest.mark.parametrize("name", ["service", "namespace", "endpoint", "component", "pod"])
def test_halves_of_different_pods_and_services_do_not_meet(name: str) -> None:
    changed: Any = {name: "other"}
    keys = {read_event(agent.headers("request", "7", AT), b"").key for agent in (Agent(), Agent(**changed))}
    assert len(keys) == 2


def test_seldons_types_kafkas_prefix_and_escaped_values_are_read() -> None:
    headers = {"ce_type": "io.seldon.serving.inference.response", "ce_id": "a%20b"}
    event = read_event({**headers, "ce_inferenceservicename": "fraud"}, b"")
    assert (event.half, event.id, event.at) == ("response", "a b", None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-30T10:00:00Z", 1_796_032_800.0),
        ("2026-11-30T10:00:00.123456789Z", 1_796_032_800.123456789),
        ("2026-11-30T11:00:00.5+01:00", 1_796_032_800.5),
        ("2026-11-30t10:00:00z", 1_796_032_800.0),
        ("2026-11-30T10:00:00", None),
        ("2026-13-30T10:00:00Z", None),
        ("0001-01-01T00:00:00Z", -62_135_596_800.0),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    headers = Agent().headers("request", "7", AT) | {"ce-time": text}
    assert read_event(headers, b"").at == seconds


def test_times_of_go_are_read_exactly() -> None:
    assert rfc3339(1_796_032_800.0) == "2026-11-30T10:00:00Z"
    assert rfc3339(1_796_032_800.5) == "2026-11-30T10:00:00.5Z"


@pytest.mark.parametrize("annotations", ["", "{", "[]", '{"a": 1}'])
def test_annotations_that_are_none_are_left_out(annotations: str) -> None:
    headers = Agent().headers("request", "7", AT) | {"ce-annotations": annotations}
    assert read_event(headers, b"").annotations == {}


@pytest.mark.parametrize("document", [[], None, 7, {}, {"type": 7}, {"data_base64": "?"}])
def test_structures_that_are_no_events_are_refused(document: Any) -> None:
    with pytest.raises(MalformedError):
        read_events({"content-type": STRUCTURED_TYPE}, json.dumps(document).encode())


def test_a_batch_has_limits() -> None:
    attributes = {name[3:]: value for name, value in Agent().headers("request", "7", AT).items()}
    body = json.dumps([attributes] * (MAX_EVENTS + 1)).encode()
    with pytest.raises(MalformedError, match="at most 1000 events"):
        read_events({"content-type": BATCH_TYPE}, body)
    assert len(read_events({"content-type": BATCH_TYPE}, json.dumps([attributes] * 3).encode())) == 3


@pytest.mark.parametrize(("data", "body"), [({"a": 1}, b'{"a":1}'), ("text", b"text"), (None, b"null")])
def test_data_of_a_structure_is_the_body(data: Any, body: bytes) -> None:
    attributes = {name.removeprefix("ce-"): v for name, v in Agent().headers("request", "7", AT).items()}
    message = json.dumps({**attributes, "data": data}).encode()
    assert read_events({"content-type": STRUCTURED_TYPE}, message)[0].body == body


UNWRITABLE = {"deep": "[" * 300 + "]" * 300, "text": '"\\ud800"', "integer": str(2**70)}


@pytest.mark.parametrize("kind", UNWRITABLE)
def test_data_that_cannot_be_written_again_is_refused(kind: str) -> None:
    attributes = {name.removeprefix("ce-"): v for name, v in Agent().headers("request", "7", AT).items()}
    message = f'{json.dumps(attributes)[:-1]}, "data": [{UNWRITABLE[kind]}]}}'.encode()
    with suppress(MalformedError):
        read_events({"content-type": STRUCTURED_TYPE}, message)


def test_other_annotations_are_not_kept() -> None:
    agent = Agent(annotations={"monitoring/model": "fraud", "monitoring/version": "3" * 2000, "team": "a"})
    assert read_event(agent.headers("request", "7", AT), b"").annotations == {"monitoring/model": "fraud"}


@given(
    st.dictionaries(
        st.sampled_from(["ce-id", "ce-type", "ce-time", "ce-annotations", "ce-source", "content-type"]),
        st.text(st.characters(max_codepoint=255)) | st.sampled_from([STRUCTURED_TYPE, BATCH_TYPE]),
    ),
    st.binary(max_size=30) | st.sampled_from([b"[{}]", b"{}", b'[{"data":"\\ud800"}]']),
)
def test_anything_is_read_or_refused(headers: dict[str, str], body: bytes) -> None:
    made = Agent().headers("request", "7", AT) | headers
    with suppress(RequestError):
        assert all(event.service == "fraud" for event in read_events(made, body))
