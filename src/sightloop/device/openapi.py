"""The OpenAPI document of the device's HTTP interface, at `/openapi.json`."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sightloop.device.front import Problem
from sightloop.device.metrics import MEDIA_TYPE as METRICS_TYPE
from sightloop.device.oip_routes import LENGTH_HEADER, ModelMetadata, ServerMetadata
from sightloop.device.page import LiveReply
from sightloop.device.predict import PredictionsReply, PredictReply
from sightloop.device.status import AgentStatus
from sightloop.device.version import AGENT_VERSION

_JSON = "application/json"
_BYTES = "application/octet-stream"
_IMAGES = ("image/jpeg", "image/png", "image/webp", "image/bmp", _BYTES)
_BINARY = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}
_ANY_JSON = {"type": "object"}

Json = dict[str, Any]


async def openapi_document(request: Request) -> Response:  # noqa: ARG001 - a route's form
    """`GET /openapi.json`."""
    return Response(_document(), media_type=_JSON)


@cache
def _document() -> bytes:
    told = [Problem, AgentStatus, LiveReply, ModelMetadata, PredictReply, PredictionsReply]
    schemas, components = msgspec.json.schema_components(
        [*told, ServerMetadata], ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip([*told, ServerMetadata], schemas, strict=True))
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Sightloop device",
            "version": AGENT_VERSION,
            "summary": "Images in, what is on them out; also by the Open Inference Protocol v2.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(by_type),
        "components": {"schemas": components},
    }
    return msgspec.json.encode(document)


def _paths(schemas: dict[Any, Json]) -> Json:
    problem = schemas[Problem]
    paths: Json = {
        "/health": {"get": _read("The agent at a glance.", schemas[AgentStatus])},
        "/metrics": {"get": _plain("Counters and gauges for Prometheus.", METRICS_TYPE)},
        "/": {"get": _plain("The page for people.", "text/html; charset=utf-8")},
        "/live.json": {"get": _live(schemas[LiveReply], problem)},
        "/predict": {"post": _predict(schemas, problem)},
        "/v2": {"get": _read("Name, version and extensions.", schemas[ServerMetadata])},
        "/v2/health/live": {"get": _state("Whether the agent answers.")},
        "/v2/health/ready": {"get": _state("Whether every running model answers.")},
    }
    for version in ("", "/versions/{version}"):
        model = f"/v2/models/{{model}}{version}"
        names = ["model", *(["version"] if version else [])]
        named = [_parameter(name, where="path", required=True) for name in names]
        missing = {"404": _told("This device runs no such model.", problem)}
        metadata = _read("Versions and tensors of a model.", schemas[ModelMetadata])
        state = _state("Whether the model answers.")
        paths[model] = {
            "get": metadata | {"parameters": named, "responses": metadata["responses"] | missing}
        }
        paths[f"{model}/ready"] = {
            "get": state | {"parameters": named, "responses": state["responses"] | missing}
        }
        paths[f"{model}/infer"] = {"post": _infer(named, missing, problem)}
    return paths


def _predict(schemas: dict[Any, Json], problem: Json) -> Json:
    drawn = {"type": "string", "enum": ["", "0", "1", "false", "true"]}
    form = {
        "type": "object",
        "properties": {"image": {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": 64}},
        "required": ["image"],
    }
    return {
        "summary": "Find objects in an image, or in every image of a form.",
        "operationId": "predict",
        "parameters": [
            _parameter("stream", about="A declared stream; the first one without."),
            _parameter("group", about="What the image belongs to: a board, a pallet."),
            _parameter("drawn", about="1: the image with the answer in it.", schema=drawn),
        ],
        "requestBody": {
            "required": True,
            "content": {
                **{media_type: {"schema": _BINARY} for media_type in _IMAGES},
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {
            "200": {
                "description": "What was found; of several images, each answer or its error.",
                "content": {
                    _JSON: {
                        "schema": {"anyOf": [schemas[PredictReply], schemas[PredictionsReply]]}
                    },
                    "image/jpeg": {"schema": _BINARY},
                },
            },
            **_problems(problem, wrong_type=True),
            "404": _told("No such stream.", problem),
        },
    }


def _infer(named: list[Json], missing: Json, problem: Json) -> Json:
    length = _parameter(
        LENGTH_HEADER,
        where="header",
        about="Length of the JSON part where raw tensors follow it.",
        schema={"type": "integer", "minimum": 0},
    )
    return {
        "summary": "The Open Inference Protocol's infer, with binary tensor data.",
        "parameters": [*named, length],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": _INFER_REQUEST}, _BYTES: {"schema": _BINARY}},
        },
        "responses": {
            "200": {
                "description": "The tensors asked for.",
                "content": {_JSON: {"schema": _INFER_REPLY}, _BYTES: {"schema": _BINARY}},
            },
            **_problems(problem, wrong_type=True),
            **missing,
        },
    }


def _live(schema: Json, problem: Json) -> Json:
    live = _read("A stream's last image, and that somebody watches it.", schema)
    stream = _parameter("stream", about="A declared stream; the first one without.")
    responses = live["responses"] | {"404": _told("No such stream.", problem)}
    return live | {"parameters": [stream], "responses": responses}


def _problems(problem: Json, *, wrong_type: bool) -> Json:
    told = {
        "400": "The request is not what it says it is.",
        "408": "The body did not arrive in time.",
        "413": "The body is too long.",
        "422": "The image cannot be read, or not be drawn.",
        "500": "Workers were lost over the image, or the model computed nonsense.",
        "503": "Not now: no model yet, too many requests, or stopping. See Retry-After.",
        "504": "No answer in time.",
    }
    if wrong_type:
        told["415"] = "The body is of a kind that is not read here."
    return {status: _told(what, problem) for status, what in told.items()}


def _told(what: str, schema: Json) -> Json:
    return {"description": what, "content": {_JSON: {"schema": schema}}}


def _read(summary: str, schema: Json) -> Json:
    return {"summary": summary, "responses": {"200": _told(summary, schema)}}


def _plain(summary: str, media_type: str) -> Json:
    content = {media_type: {"schema": _TEXT}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def _state(summary: str) -> Json:
    return {
        "summary": summary,
        "responses": {"200": {"description": "Yes."}, "503": {"description": "Not now."}},
    }


def _parameter(
    name: str,
    *,
    where: str = "query",
    required: bool = False,
    about: str = "",
    schema: Json | None = None,
) -> Json:
    described = {"name": name, "in": where, "required": required, "schema": schema or _TEXT}
    return described | ({"description": about} if about else {})


_PARAMETERS = {
    "type": "object",
    "properties": {
        "stream": _TEXT,
        "group": _TEXT,
        "timeout": {"type": "integer", "minimum": 0, "description": "In microseconds."},
        "binary_data_output": {"type": "boolean"},
    },
}
_INFER_REQUEST: Json = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": _TEXT,
        "parameters": _PARAMETERS,
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "datatype", "shape"],
                "properties": {
                    "name": {"const": "image"},
                    "datatype": {"const": "BYTES"},
                    "shape": {"enum": [[1], [1, 1]]},
                    "parameters": _ANY_JSON,
                    "data": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {"type": "string", "contentEncoding": "base64"},
                    },
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": _TEXT, "parameters": _ANY_JSON},
            },
        },
    },
}
_INFER_REPLY: Json = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": _TEXT,
        "model_version": _TEXT,
        "id": _TEXT,
        "parameters": _ANY_JSON,
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "datatype", "shape"],
                "properties": {
                    "name": _TEXT,
                    "datatype": _TEXT,
                    "shape": {"type": "array", "items": {"type": "integer"}},
                },
            },
        },
    },
}
