"""JSON that a file holds, parsed once at the border into typed models: behind it nothing needs to check.

A model is a ``msgspec.Struct``. What is wrong in a file is left out field by field, the field's default is taken, and a
``Complaint`` says where and what, so that the reader can tell the user. A list loses the items that are wrong, a
dictionary the values. The one error is ``Unreadable``: the text is no JSON at all, or lacks a field without default.

    class Answer(msgspec.Struct, kw_only=True):
        prompt: str
        score: Annotated[int, Meta(ge=1, le=5)] | None = None
        extra: dict[str, Any] = {}

    answer, complaints = typed.load(path, Answer)
    path.write_text(json.dumps(typed.data(answer)))

A model with a field ``extra: dict[str, Any]`` keeps there what it has no field for, and ``data`` writes it back: a
file that is read and written again loses nothing of its writer's. A model that forbids unknown fields complains of
them. All others pass over them.

Sound data take one call of msgspec's decoder. Everything else goes field by field, and forgives what can be: bytes that
are no UTF-8 and lone surrogates become U+FFFD; NaN, Infinity and numbers that fit no 64 bits are wrong values.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from engine.contract.errors import UserError

T = TypeVar("T")
DEEPEST = 64
"""Lists and objects inside one another that are followed."""
LARGEST = 2**63 - 1

_BOUND = 10**9
"""A larger limit is there for arithmetic's sake; no sentence names it."""

Int = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
"""Whole numbers for models. A plain ``int`` is bounded alike, but reads about ten times as slowly."""


class Complaint(NamedTuple):
    """One thing that was left out of what was read. ``str`` of it is a sentence without its full stop."""

    file: str
    place: str
    """``answers[3].score``, or ``line 7: loss``; empty for the whole file."""
    what: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.file and f"{self.file}:", self.place, self.what) if part)


class Unreadable(UserError):
    """A file, or a line of one, that gives no model at all. ``str(error)`` says which and what is wrong, no remedy."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


class Parsed(NamedTuple, Generic[T]):
    value: T
    complaints: list[Complaint]


def parse(text: bytes | str, model: type[T], file: str | Path = "", place: str = "") -> Parsed[T]:
    """The model that a JSON text holds. Raises Unreadable, and nothing else.

    ``model`` is a Struct, or a list or dictionary of them, or a union of tagged Structs. ``file`` and ``place`` are
    for the complaints.
    """
    decoder, direct = _decoder(model)  # type: ignore[arg-type]
    if direct:
        try:
            return Parsed(decoder.decode(text), [])
        except (ValueError, RecursionError):
            pass
    report = _Report(str(file), place)
    return Parsed(_fit_whole(_untyped(text, report), model, report), report.complaints)


def convert(value: Any, model: type[T], file: str | Path = "", place: str = "") -> Parsed[T]:
    """Like ``parse``, from what a TOML file or ``json.loads`` gave."""
    report = _Report(str(file), place)
    return Parsed(_fit_whole(value, model, report), report.complaints)


def load(path: Path, model: type[T]) -> Parsed[T]:
    """``parse`` of a whole file. Raises Unreadable also when the file cannot be read or is not there."""
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreadable(Complaint(str(path), "", f"cannot be read ({reason})")) from None
    return parse(content, model, path)


def parse_lines(content: bytes, model: type[T], file: str | Path = "") -> Parsed[list[tuple[int, T]]]:
    """Models of a file with one JSON text a line, each with its line's number from 1. Raises nothing.

    A line that gives none is a complaint. Empty lines are passed over.
    """
    found, complaints = [], []
    for number, line in lines(content):
        try:
            value, wrong = parse(line, model, file, f"line {number}")
        except Unreadable as error:
            complaints.append(error.complaint._replace(what=f"{error.complaint.what}; it is left out"))
            continue
        found.append((number, value))
        complaints += wrong
    return Parsed(found, complaints)


def lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, line) of the lines that hold something. Only a line feed ends one: U+2028 may stand inside JSON text."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield number, line


def data(value: Any) -> Any:
    """What ``json.dumps`` writes for a model: dictionaries and lists, and what ``extra`` holds, as it was."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        own = {str(value.__struct_config__.tag_field): tag} if tag is not None else {}
        pairs = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        own |= {written: data(getattr(value, name)) for written, name in pairs if name != "extra"}
        return {**getattr(value, "extra", {}), **own}
    if isinstance(value, dict):
        return {key: data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [data(item) for item in value]
    return value


class _Wrong(Exception):
    """A value that its kind cannot take; the text continues the sentence ``PLACE ...``."""


class _Report:
    def __init__(self, file: str, start: str) -> None:
        self.file, self.start = file, start
        self.complaints: list[Complaint] = []

    def add(self, place: str, what: str) -> None:
        self.complaints.append(Complaint(self.file, ": ".join(part for part in (self.start, place) if part), what))

    def refuse(self, what: str) -> NoReturn:
        raise Unreadable(Complaint(self.file, self.start, what))


@lru_cache(maxsize=256)
def _decoder(model: Any) -> tuple[msgspec.json.Decoder[Any], bool]:
    """The decoder of a model, and whether what it takes needs no second look."""
    return msgspec.json.Decoder(model), _is_direct(msgspec.inspect.type_info(model), set())


def _is_direct(info: Any, seen: set[Any]) -> bool:
    # An int without bounds takes numbers of any length, Any takes them and whatever else.
    if isinstance(info, msgspec.inspect.AnyType) or (isinstance(info, msgspec.inspect.IntType) and info.le is None):
        return False
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in seen:
            return True
        seen.add(info.cls)
        return all(_is_direct(field.type, seen) for field in info.fields)
    parts = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    parts += [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    return all(_is_direct(part, seen) for part in parts if part is not None)


def _untyped(text: bytes | str, report: _Report) -> Any:
    """What a JSON text holds, forgiving what can be; raises Unreadable."""
    if isinstance(text, bytes):
        content, text = text, text.decode("utf-8", "replace")
        if "\ufffd" in text and (wrong := _no_utf8(content)) is not None:
            report.add("", f"is no UTF-8 from byte {wrong} on; what cannot be read is shown as \ufffd")
    text = text.removeprefix("\ufeff")
    try:
        return json.loads(text, parse_constant=_never, parse_int=_whole, parse_float=_finite)
    except json.JSONDecodeError as error:
        if not text.strip():
            report.refuse("is empty")
        where = f"line {error.lineno}, column {error.colno}" if text.count("\n") > 1 else f"column {error.colno}"
        report.refuse(f"is no JSON from {where} on")
    except (ValueError, RecursionError, MemoryError):
        report.refuse("is no JSON that can be read: it is nested too deep")


def _no_utf8(content: bytes) -> int | None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


class _NoNumber:
    """Stands for a number that no model takes, until it is left out."""


_NO_NUMBER = _NoNumber()


def _never(_name: str) -> Any:
    return _NO_NUMBER


def _whole(digits: str) -> Any:
    return int(digits) if len(digits) < 20 and abs(int(digits)) <= LARGEST else _NO_NUMBER


def _finite(digits: str) -> Any:
    value = float(digits)
    return value if math.isfinite(value) else _NO_NUMBER


def _fit_whole(value: Any, model: Any, report: _Report) -> Any:
    try:
        return _fit(value, model, "", report, 0)
    except _Wrong as error:
        report.refuse(str(error))


def _fit(value: Any, kind: Any, place: str, report: _Report, depth: int) -> Any:
    """``value`` as ``kind``, without what is wrong in it; raises _Wrong when nothing is left."""
    if depth > DEEPEST:
        raise _Wrong("is nested too deep")
    if kind is Any:
        return _clean(value, place, report, depth)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _fit_union(value, arguments, place, report, depth)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _fit_struct(value, kind, place, report, depth)
    container = origin or kind
    if container in (list, set, frozenset) or (container is tuple and arguments[1:] == (...,)):
        if not isinstance(value, (list, tuple)):
            raise _Wrong(_mismatch(value, kind))
        return container(_fit_items(value, arguments[0] if arguments else Any, place, report, depth))
    if container is dict:
        if not isinstance(value, dict):
            raise _Wrong(_mismatch(value, kind))
        return _fit_values(value, arguments or (str, Any), place, report, depth)
    return _fit_plain(value, kind, place, report)


def _fit_plain(value: Any, kind: Any, place: str, report: _Report) -> Any:
    if isinstance(value, str):
        value = _clean(value, place, report, 0)
    if isinstance(value, _NoNumber) or (isinstance(value, float) and not math.isfinite(value)):
        raise _Wrong("is a number that is not finite or too large")
    try:
        fitted = msgspec.convert(value, kind)
    except (ValueError, OverflowError, RecursionError):
        raise _Wrong(_mismatch(value, kind)) from None
    if isinstance(fitted, int) and abs(fitted) > LARGEST:
        raise _Wrong("is a number that is not finite or too large")
    return fitted


def _fit_struct(value: Any, kind: type[msgspec.Struct], place: str, report: _Report, depth: int) -> Any:
    if not isinstance(value, dict):
        raise _Wrong(_mismatch(value, kind))
    fields = msgspec.structs.fields(kind)
    given: dict[str, Any] = {}
    for field in fields:
        if field.encode_name not in value or field.name == "extra":
            if field.required:
                raise _Wrong(f"has no {field.encode_name}")
            continue
        inner = _join(place, field.encode_name)
        try:
            given[field.name] = _fit(value[field.encode_name], field.type, inner, report, depth + 1)
        except _Wrong as error:
            if field.required:
                raise _Wrong(f"cannot be used: {field.encode_name} {error}") from None
            report.add(inner, f"{error}; it is left out")
    known = {field.encode_name for field in fields} | {str(kind.__struct_config__.tag_field)}
    if any(field.name == "extra" for field in fields):
        unknown = {key: item for key, item in value.items() if key not in known or key == "extra"}
        given["extra"] = _clean(unknown, place, report, depth)
    elif kind.__struct_config__.forbid_unknown_fields:
        for key in value.keys() - known:
            report.add(_join(place, str(key)), "is not known; it is left out")
    try:
        return kind(**given)
    except (ValueError, TypeError) as error:
        raise _Wrong(f"cannot be used: {error}") from None


def _fit_items(value: Any, kind: Any, place: str, report: _Report, depth: int) -> Iterator[Any]:
    for at, item in enumerate(value):
        inner = f"{place}[{at}]"
        try:
            yield _fit(item, kind, inner, report, depth + 1)
        except _Wrong as error:
            report.add(inner, f"{error}; it is left out")


def _fit_values(value: dict[Any, Any], kinds: Any, place: str, report: _Report, depth: int) -> dict[Any, Any]:
    fitted = {}
    for key, item in value.items():
        inner = _join(place, str(key))
        try:
            fitted[_fit(key, kinds[0], inner, report, depth + 1)] = _fit(item, kinds[1], inner, report, depth + 1)
        except _Wrong as error:
            report.add(inner, f"{error}; it is left out")
    return fitted


def _fit_union(value: Any, kinds: tuple[Any, ...], place: str, report: _Report, depth: int) -> Any:
    if value is None and type(None) in kinds:
        return None
    tagged = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    if len(tagged) > 1 and isinstance(value, dict):
        field = str(tagged[0].__struct_config__.tag_field)
        tagged = [kind for kind in tagged if kind.__struct_config__.tag == value.get(field)]
        if not tagged:
            raise _Wrong(f"has no {field} that is known")
        return _fit_struct(value, tagged[0], place, report, depth)
    wanted = [kind for kind in kinds if kind is not type(None)]
    for kind in wanted:
        # Of several kinds, what is wrong is told of the one that takes it in the end.
        aside = _Report(report.file, report.start)
        try:
            fitted = _fit(value, kind, place, aside, depth)
        except _Wrong:
            if len(wanted) == 1:
                raise
            continue
        report.complaints += aside.complaints
        return fitted
    raise _Wrong(_mismatch(value, kinds))


def _clean(value: Any, place: str, report: _Report, depth: int) -> Any:
    """Foreign data as they are, but for numbers and characters that no file can be written with."""
    if depth > DEEPEST:
        raise _Wrong("is nested too deep")
    if isinstance(value, str) and not value.isascii():
        sound = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if sound != value:
            report.add(place, "has half a character; it is shown as \ufffd")
        return sound
    if isinstance(value, dict):
        return {
            _clean(key, place, report, depth): _clean(item, place, report, depth + 1) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_clean(item, place, report, depth + 1) for item in value]
    if isinstance(value, _NoNumber):
        report.add(place, "is a number that is not finite or too large; it is left out")
        return None
    return value


def _join(place: str, name: str) -> str:
    name = name if len(name) <= 60 else f"{name[:59]}…"
    return f"{place}.{name}" if place else name


def _mismatch(value: Any, kind: Any) -> str:
    if get_origin(kind) is Literal and isinstance(value, str):
        return f"is not {_wanted(kind)}"
    return f"is {_is_a(value)}, not {_wanted(kind)}"


def _is_a(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value)) or ("a number" if isinstance(value, (int, float)) else "a value of another kind")


def _wanted(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        bounds = next((part for part in arguments[1:] if isinstance(part, Meta)), Meta())
        least, most = bounds.ge, bounds.le
        if most is not None and most < _BOUND:
            return f"{_wanted(arguments[0])} from {least} to {most}"
        return _wanted(arguments[0]) + (" of 0 or more" if least == 0 else "")
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if isinstance(kind, tuple):
        return " or ".join(dict.fromkeys(_wanted(part) for part in kind if part is not type(None)))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind) or ("a list" if (origin or kind) in (list, tuple, set, frozenset) else "an object")
