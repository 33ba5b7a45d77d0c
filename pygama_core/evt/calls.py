"""Function calls in event configurations: ``package.module.function(<...>, keyword=value)``.

Only functions that were registered can be called; a configuration cannot import anything.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pygama_core.errors import ConfigError
from pygama_core.expression import dotted_name
from pygama_core.lh5.types import Column

if TYPE_CHECKING:
    from pygama_core.evt.hits import Hits

EventFunction: TypeAlias = "Callable[..., Column]"  # (hits, table keys, **keywords) -> one row per event
F = TypeVar("F", bound=EventFunction)
_FUNCTIONS: dict[str, EventFunction] = {}
_OBSERVABLE = re.compile(r"[A-Za-z]\w*\.[A-Za-z_]\w*")


@dataclass(frozen=True, eq=False)
class FunctionCall:
    """A checked call: literal keywords, and keywords that are event fields."""

    function: EventFunction
    text: str
    keywords: Mapping[str, Any]
    fields: Mapping[str, str]  # keyword -> evt.name

    @property
    def names(self) -> frozenset[str]:
        """Event fields that the call needs."""
        return frozenset(self.fields.values())

    @property
    def observables(self) -> frozenset[str]:
        """``tier.column`` texts among the keywords: columns to read."""
        values = [value for value in self.keywords.values() if isinstance(value, str)]
        return frozenset(value for value in values if _OBSERVABLE.fullmatch(value))

    def __call__(self, hits: Hits, keys: tuple[int, ...], fields: Mapping[str, Column]) -> Column:
        """Call the function with the values of its event fields, by keyword."""
        return self.function(hits, keys, **self.keywords, **fields)


def event_function(*names: str) -> Callable[[F], F]:
    """Register a function under dotted names; a second function under one name raises ConfigError."""

    def register(function: F) -> F:
        for name in names:
            if name in _FUNCTIONS:
                raise ConfigError(f"event function {name!r} is registered twice; choose another name")
            _FUNCTIONS[name] = function
        return function

    return register


def parse_call(text: str, where: str) -> FunctionCall:
    """Check a function call.

    Positional arguments, written as ``<...>`` or anything else, are ignored: hits and channels are put there.

    Raises
    ------
    ConfigError : if it is no call, the function is not registered, or a keyword is unknown or no literal
    """
    from pygama_core.evt import functions  # noqa: F401 - registers the functions that come with the package

    try:
        tree = ast.parse(re.sub(r"<[^>]*>", "...", text).strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{where}: cannot parse the call {text!r}: {error}") from error
    name = dotted_name(tree.func) if isinstance(tree, ast.Call) else None
    if not isinstance(tree, ast.Call) or name is None:
        raise ConfigError(f"{where}: found {text!r}, expected a call such as package.function(<...>, keyword=value)")
    function = _FUNCTIONS.get(name)
    if function is None:
        raise ConfigError(f"{where}: no event function {name!r}; registered: {', '.join(sorted(_FUNCTIONS))}")
    keywords, fields = _keywords(tree, where)
    known = list(inspect.signature(function).parameters)[2:]
    if unknown := sorted({*keywords, *fields} - set(known)):
        raise ConfigError(f"{where}: {name} has no keyword {unknown[0]!r}; keywords: {', '.join(known) or 'none'}")
    return FunctionCall(function, text, keywords, fields)


def _keywords(call: ast.Call, where: str) -> tuple[dict[str, Any], dict[str, str]]:
    keywords: dict[str, Any] = {}
    fields: dict[str, str] = {}
    for keyword in call.keywords:
        value = dotted_name(keyword.value)
        if keyword.arg is not None and value is not None and value.startswith("evt."):
            fields[keyword.arg] = value
            continue
        try:
            keywords[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError) as error:
            found = ast.unparse(keyword.value)
            raise ConfigError(f"{where}: {keyword.arg} = {found} is neither a literal nor an evt field") from error
    return keywords, fields
