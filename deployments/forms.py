"""The fields and files of a request, whichever of the four ways the client chose to send them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from deployments.errors import BadRequest
from deployments.multipart import MAX_FIELDS, MultipartReader
from deployments.services import Services
from deployments.uploads import UploadedFile, Uploads

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|\x00")
"""Where there can be half a surrogate pair: written as an escape, in UTF-8, or in another encoding."""

MAX_DEPTH = 100
"""Of a JSON body; what stores and sends requests on gives up at about twice that."""
FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART_TYPE = "multipart/form-data"
JSON_TYPE = "application/json"
LARGE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Form:
    """What the client sent; names as it spelt them."""

    fields: dict[str, Any] = field(default_factory=dict)
    """A name that came several times, or ends with ``[]``, has a list."""
    files: dict[str, UploadedFile] = field(default_factory=dict)
    keep_files: Callable[[bool], None] = lambda _: None
    """Says whether the files shall outlive the request, because a job needs them."""


def listed(value: Any) -> Any:
    """Read a list as forms send it: the field several times, or one text with commas."""
    if not isinstance(value, str):
        return value
    return [item.strip() for item in value.split(",") if item.strip()]


@asynccontextmanager
async def read_form(request: Request, services: Services, owner: str) -> AsyncIterator[Form]:
    """Read query string and body; the files stay in the artifact store until the block ends.

    Understands JSON, form, multipart and query string; where a name is in both, the body wins.

    Args:
        request: of any method.
        services: artifact store and limits are used.
        owner: id of the API key whose files these are.

    Raises:
        BadRequest: the body cannot be read; the message says where and why.
    """
    uploads = Uploads(services.artifacts, owner)
    try:
        yield await _read(request, uploads, services.config.limits.json_bytes)
    finally:
        await uploads.discard()


async def read_json(request: Request) -> Any:
    """Read a JSON body of any shape.

    Raises:
        BadRequest: it is not JSON; the message gives the position.
    """
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind and not _is_json(kind.decode("latin-1").lower()):
        raise BadRequest(f"Send the body as JSON, with the header Content-Type: {JSON_TYPE}.")
    body = await request.body()
    # A large one would hold up all others.
    return await asyncio.to_thread(_json, body) if len(body) > LARGE_BYTES else _json(body)


async def read_json_object(request: Request) -> dict[str, Any]:
    """Read a JSON body that is an object.

    Raises:
        BadRequest: it is none.
    """
    return _object(await read_json(request))


async def _read(request: Request, uploads: Uploads, text_bytes: int) -> Form:
    query = _collected(request.query_params.multi_items())
    kind, options = parse_options_header(request.headers.get("content-type"))
    content_type = kind.decode("latin-1").lower()
    if content_type == MULTIPART_TYPE:
        if not options.get(b"boundary"):
            raise BadRequest("The Content-Type multipart/form-data lacks its boundary.")
        reader = MultipartReader(options[b"boundary"], uploads, text_bytes)
        await reader.read(request.stream())
        return Form({**query, **_collected(reader.fields)}, reader.files, uploads.keep)
    return Form({**query, **_fields(content_type, await request.body())})


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    if _is_json(content_type):
        return _object(_json(body))
    if content_type == FORM_TYPE:
        return _collected(_urlencoded(body))
    raise BadRequest(
        f"The Content-Type {content_type or '(none)'} is not understood. "
        f"Use {JSON_TYPE}, {FORM_TYPE} or {MULTIPART_TYPE}."
    )


def _is_json(content_type: str) -> bool:
    return content_type == JSON_TYPE or content_type.endswith("+json")


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    if body.lstrip().startswith(b"{"):
        # What `curl -d '{...}'` sends when the header is forgotten.
        raise BadRequest(f"The body looks like JSON. Send it with the header Content-Type: {JSON_TYPE}.")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError as error:
        raise BadRequest(f"The form is not UTF-8: {error.reason} at byte {error.start}.") from error
    except ValueError as error:
        raise BadRequest(f"The form has more than {MAX_FIELDS} fields. Send fewer.") from error


def _collected(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {
        name: found if len(found) > 1 or name.endswith("[]") else found[0] for name, found in values.items()
    }


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest('The JSON body must be an object: {"field": "value"}.')
    return value


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
        if _SURROGATE.search(body):
            # Half a surrogate pair is JSON, but no text that could be spoken, stored or echoed.
            json.dumps(value, ensure_ascii=False).encode()
        _check_depth(body, value)
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"The JSON body is not UTF-8: {error.reason} at byte {error.start}.") from error
    except RecursionError as error:
        raise BadRequest("The JSON body is nested too deeply.") from error
    except UnicodeEncodeError as error:
        raise BadRequest("The JSON body has half of a surrogate pair, which is no character.") from error
    except ValueError as error:  # Python reads whole numbers up to 4,300 digits
        raise BadRequest("A number in the JSON body has too many digits.") from error
    return value


def _check_depth(body: bytes, value: Any) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [
            each.values() if isinstance(each, dict) else each
            for each in level
            if isinstance(each, (dict, list))
        ]
        level = [each for several in inner for each in several if isinstance(each, (dict, list))]
        if not level:
            return
    raise BadRequest(f"The JSON body is nested deeper than {MAX_DEPTH} levels.")


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not valid JSON: {name} is not a JSON number.")
