"""A multipart/form-data body, taken apart while it arrives."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from deployments.errors import BadRequest, BodyTooLarge
from deployments.uploads import Upload, UploadedFile, Uploads

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FILES = 10
MAX_FIELDS = 200


@dataclass
class _Part:
    name: str
    file_name: str | None
    content_type: str
    text: bytearray = field(default_factory=bytearray)
    upload: Upload | None = None


class MultipartReader:
    """Collects the fields, and hands the files to the artifact store piece by piece.

    The parser calls back synchronously; what concerns a file is noted and done after each chunk,
    because it has to be awaited.
    """

    def __init__(self, boundary: bytes, uploads: Uploads, text_bytes: int) -> None:
        """Take a body with this boundary, whose text fields together have at most `text_bytes`."""
        self.fields: list[tuple[str, str]] = []
        self.files: dict[str, UploadedFile] = {}
        self._uploads = uploads
        self._text_limit_bytes = text_bytes
        self._text_bytes = 0
        self._part_count = {"files": 0, "fields": 0}
        self._file_names: set[str] = set()
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._part = _Part("", None, "")
        self._file_events: list[tuple[_Part, bytes | None]] = []
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as error:
            raise BadRequest(f"The boundary of the multipart/form-data body is refused: {error}.") from error

    async def read(self, body: AsyncIterator[bytes]) -> None:
        """Take the whole body.

        Raises:
            BadRequest: it is malformed, ends too early, or has too many parts.
            BodyTooLarge: its text is over the limit.
        """
        async for chunk in body:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise BadRequest(f"The body is not valid multipart/form-data: {error}.") from error
            await self._store_files()
        if not self._ended:
            raise BadRequest("The multipart/form-data body ends before its closing boundary.")

    async def _store_files(self) -> None:
        events, self._file_events = self._file_events, []
        for part, data in events:
            if data is not None:
                await self._upload_of(part).write(data)
            elif part.file_name or part.upload is not None:
                self.files[part.name] = await self._upload_of(part).finish()

    def _upload_of(self, part: _Part) -> Upload:
        if part.upload is None:
            part.upload = self._uploads.begin(part.file_name or "", part.content_type)
        return part.upload

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise BadRequest("A part of the multipart/form-data body has no name in its Content-Disposition.")
        file_name = options.get(b"filename")
        self._part = _Part(
            name=options[b"name"].decode(errors="replace"),
            file_name=None if file_name is None else file_name.decode(errors="replace"),
            content_type=self._headers.get(b"content-type", b"").decode("latin-1"),
        )
        self._check_counts(self._part)

    def _check_counts(self, part: _Part) -> None:
        kind, limit = ("fields", MAX_FIELDS) if part.file_name is None else ("files", MAX_FILES)
        self._part_count[kind] += 1
        if self._part_count[kind] > limit:
            raise BadRequest(f"The form has more than {limit} {kind}. Send fewer.")
        if part.file_name and part.name in self._file_names:
            name = part.name.removesuffix("[]")  # some clients mark so what may come several times
            raise BadRequest(f"The file '{name}' was sent more than once. Send it once.", name)
        if part.file_name:
            self._file_names.add(part.name)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.file_name is not None:
            self._file_events.append((self._part, data[start:end]))
            return
        self._text_bytes += end - start
        if self._text_bytes > self._text_limit_bytes:
            raise BodyTooLarge(
                f"The text fields of a form may have {self._text_limit_bytes} bytes together "
                f"(limits.json_bytes). If '{self._part.name}' is a file, send it with a filename.",
                self._part.name,
            )
        self._part.text += data[start:end]

    def _on_part_end(self) -> None:
        if self._part.file_name is not None:
            self._file_events.append((self._part, None))
            return
        try:
            self.fields.append((self._part.name, self._part.text.decode()))
        except UnicodeDecodeError as error:
            raise BadRequest(f"The field '{self._part.name}' is not UTF-8 text.", self._part.name) from error

    def _on_end(self) -> None:
        self._ended = True
