"""Pieces of the interactive documentation that the framework cannot read off the routes."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployments.forms import JSON_TYPE


def json_body(
    fields: Mapping[str, Any], example: Mapping[str, Any], required: Sequence[str] = ()
) -> dict[str, Any]:
    """Describe a JSON body, as a route's ``openapi_extra``."""
    schema = {"type": "object", "properties": dict(fields), "required": list(required)}
    content = {JSON_TYPE: {"schema": schema, "example": dict(example)}}
    return {"requestBody": {"required": True, "content": content}}


def query_parameters(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the fields of an object that stand in the query string, as a route's ``openapi_extra``."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": field,
                "description": field["description"],
            }
            for name, field in schema["properties"].items()
        ]
    }


def json_example(example: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Describe the good answer, as a route's ``responses``."""
    return {200: {"content": {JSON_TYPE: {"example": dict(example)}}}}
