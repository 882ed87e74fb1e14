"""How AI Server's clients spell a request: any case, camelCase or snake_case, and some oddities."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from deployments.errors import BadRequest
from deployments.fields import folded, pascal_words, wrong_fields
from deployments.forms import Form
from deployments.preferences import MAX_NAME_LENGTH, MAX_STATE_LENGTH, MAX_URL_LENGTH
from deployments.uploads import UploadedFile

_MAX_NAMES = 10
_MAX_NAME_LENGTH = 40


class Wire(BaseModel):
    """Base of all requests; unknown fields are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, frozen=True, coerce_numbers_to_str=True
    )
    other_names: ClassVar[Mapping[str, str]] = {}
    """Further names on the wire -> attribute."""

    def given(self, *names: str) -> dict[str, Any]:
        """Give those of the named fields that the client sent, so that the record's defaults hold."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def _without_nul(text: str | None) -> str | None:
    if text and "\0" in text:
        raise PydanticCustomError("nul", "the character NUL cannot be stored")
    return text


StoredText: TypeAlias = Annotated[str | None, AfterValidator(_without_nul)]
"""What a database keeps, or is asked for: PostgreSQL's texts have no NUL."""


class JobFields(Wire):
    """What every operation takes for the job that it makes, or becomes when it takes too long."""

    ref_id: StoredText = Field(
        default=None,
        max_length=MAX_NAME_LENGTH,
        description="Your own id of the job; sending the same request with it again gives the same job",
    )
    tag: StoredText = Field(
        default=None, max_length=MAX_NAME_LENGTH, description="Your own word for a group of jobs"
    )
    reply_to: StoredText = Field(
        default=None, max_length=MAX_URL_LENGTH, description="URL that hears of the job's end"
    )
    state: StoredText = Field(
        default=None, max_length=MAX_STATE_LENGTH, description="Comes back to `replyTo` as it is"
    )
    priority: int | None = Field(default=None, ge=-1, le=2, description="-1 low, 0 normal, 1 high, 2 highest")
    provider: str | None = Field(
        default=None, max_length=MAX_NAME_LENGTH, description="Who alone may serve it"
    )

    @property
    def wishes(self) -> dict[str, Any]:
        """Give what was sent, under the names of `deployments.preferences.JobWish`."""
        given = self.given("ref_id", "tag", "reply_to", "priority")
        return given if self.state is None else {**given, "client_state": self.state}


WireT = TypeVar("WireT", bound=Wire)

ZERO_IS_ABSENT = AfterValidator(lambda value: value or None)
"""Typed clients send 0 for a number that was never set."""


def any_spelling(values: Iterable[str]) -> BeforeValidator:
    """Accept one of `values` in any case, and as Python prints an enum's member: ``ImageFormat.JPG``."""
    by_folded = {folded(value): value for value in values}

    def pick(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return by_folded.get(folded(value.rpartition(".")[2]), value)

    return BeforeValidator(pick)


@cache
def _attributes(wire: type[Wire]) -> Mapping[str, str]:
    names = {folded(name): name for name in wire.model_fields}
    return {folded(name): attribute for name, attribute in wire.other_names.items()} | names


def bind(wire: type[WireT], fields: Mapping[str, Any]) -> WireT:
    """Match what the client sent to the fields of the operation; null and blank text count as not sent.

    Raises:
        BadRequest: a field is missing or of the wrong type.
    """
    attributes = _attributes(wire)
    values = {
        attributes[folded(name)]: value
        for name, value in fields.items()
        if folded(name) in attributes and not _is_blank(value)
    }
    try:
        return wire.model_validate(values, by_name=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problem = wrong_fields(found, label=pascal_words)
        if found[0]["type"] != "missing":
            raise problem from error
        unknown = [name for name in fields if folded(name) not in attributes]
        raise _with_received(problem, unknown) from error


def pick_files(form: Form, names: Iterable[str]) -> dict[str, UploadedFile]:
    """Find the operation's files among those that were sent.

    Raises:
        BadRequest: one is missing, or was sent as text.
    """
    sent = {folded(name): file for name, file in form.files.items()}
    texts = {folded(name) for name in form.fields}
    wanted = list(names)
    for name in wanted:
        if folded(name) in sent:
            continue
        if folded(name) in texts:
            raise _missing_file(name, f"must be a file: send '{name}' with a file name, not as text.")
        problem = _missing_file(name, f"must not be empty. Send the file '{name}' as multipart/form-data.")
        raise _with_received(problem, [*form.files, *form.fields])
    return {name: sent[folded(name)] for name in wanted}


def _missing_file(name: str, sentence: str) -> BadRequest:
    return BadRequest(f"'{pascal_words(name)}' {sentence}", name, "ArgumentNullException")


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _with_received(problem: BadRequest, names: list[str]) -> BadRequest:
    """Show the names that nobody knows: one of them may be a misspelling of the missing one."""
    if not names:
        return problem
    shown = ", ".join(name[:_MAX_NAME_LENGTH] for name in names[:_MAX_NAMES])
    return BadRequest(f"{problem.message} Received fields: {shown}", problem.field, problem.code)
