"""Evaluate the expressions of a configuration: constants at once, anything with data as steps of the plan."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pygama_core.dsp import values as v
from pygama_core.dsp.config import Recipe
from pygama_core.dsp.plan import Grid
from pygama_core.dsp.units import Quantity, unit_quantity
from pygama_core.dsp.values import Ref, Value
from pygama_core.errors import ConfigError
from pygama_core.expression import dotted_name

BINARY = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "power",
}
COMPARE = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
NUMPY_CONSTANTS = {"pi": np.pi, "e": np.e, "nan": np.nan, "inf": np.inf, "euler_gamma": np.euler_gamma}
DECLARED = ("shape", "dtype", "grid", "unit", "period", "offset", "vector_len", "is_coord")
UFUNCS = {"abs": "absolute", "min": "minimum", "max": "maximum"} | {
    name: name for name in ("isnan", "isfinite", "sqrt", "exp", "log", "log10", "absolute", "minimum", "maximum")
}


class Builder(Protocol):
    """What an expression needs of the plan that is being made."""

    def name(self, name: str) -> Value: ...
    def parameter(self, path: str, recipe: Recipe) -> Any: ...
    def arithmetic(self, name: str, a: Value, b: Value) -> Value: ...
    def ufunc(self, name: str, *arguments: Value) -> Value: ...
    def round(self, name: str, value: Ref, step: Value) -> Value: ...
    def where(self, condition: Value, a: Value, b: Value) -> Value: ...
    def sample(self, array: Ref, index: Ref) -> Value: ...
    def astype(self, value: Ref, dtype: str) -> Value: ...


@dataclass(frozen=True)
class Declaration:
    """An output argument and what the configuration says about it."""

    name: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    unit: str | None = None
    axis: Grid | None = None
    length: Ref | str | None = None  # text: another output of the same recipe
    is_coord: bool | None = None  # whether it is a time; None: if its unit is one of time


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the arguments of one recipe."""

    builder: Builder
    recipe: Recipe
    where: str

    def text(self, text: str) -> Value:
        """Evaluate an expression given as text; errors name the recipe and the text.

        Raises
        ------
        ConfigError : if it cannot be parsed, is not part of the language, or its parts do not fit
        """
        try:
            return self.node(self._parse(text))
        except ConfigError as error:
            raise located(error, f"{self.where}: {text!r}") from error

    def argument(self, value: Any) -> Value:
        """Evaluate an argument: text is an expression, numbers and lists are taken as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return tuple(self.argument(item) for item in value)
        if value is None or not v.is_number(value):
            raise ConfigError(f"{self.where}: argument {value!r} is neither a number, a list nor an expression")
        return value.item() if isinstance(value, np.number) else value  # type: ignore[no-any-return]

    def declaration(self, text: Any) -> Declaration | None:
        """Return the output that an argument declares, None if it is no output of the recipe."""
        if not isinstance(text, str):
            return None
        node = self._parse(text)
        name = node.func if isinstance(node, ast.Call) else node
        if not isinstance(name, ast.Name) or name.id not in self.recipe.outputs:
            return None
        try:
            return self._declare(name.id, node) if isinstance(node, ast.Call) else Declaration(name.id)
        except ConfigError as error:
            raise located(error, f"{self.where}: {text!r}") from error

    def _parse(self, text: str) -> ast.expr:
        try:
            return ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ConfigError(f"{self.where}: cannot parse {text!r}: {error}") from error

    def _declare(self, name: str, call: ast.Call) -> Declaration:
        given: dict[str, Any] = {}
        for node in call.args:
            value = self.node(node)
            given["dtype" if isinstance(value, str) else "shape"] = value
        for keyword in call.keywords:
            given[str(keyword.arg)] = self._keyword(keyword)
        unknown = set(given) - set(DECLARED)
        if unknown:
            raise ConfigError(f"unknown {', '.join(sorted(unknown))}; known: {', '.join(DECLARED)}")
        shape = given.get("shape")
        if shape is not None:
            sizes = shape if isinstance(shape, tuple) else (shape,)
            shape = tuple(v.whole_samples(size, None, "length") for size in sizes)
        length = given.get("vector_len")
        if length is not None and not isinstance(length, Ref | str):
            raise ConfigError("vector_len must name the output that holds the number of elements")
        dtype = np.dtype(given["dtype"]).str[1:] if "dtype" in given else None
        return Declaration(name, shape, dtype, given.get("unit"), _declared_axis(given), length, given.get("is_coord"))

    def _keyword(self, keyword: ast.keyword) -> Value:
        if keyword.arg == "unit":
            is_other = isinstance(keyword.value, ast.Attribute)  # unit=waveform.unit
            return self.node(keyword.value) if is_other else ast.unparse(keyword.value).strip("'\"")
        is_sibling = isinstance(keyword.value, ast.Name) and keyword.value.id in self.recipe.outputs
        if keyword.arg == "vector_len" and is_sibling:
            return ast.unparse(keyword.value)
        return self.node(keyword.value)

    def node(self, node: ast.expr) -> Value:
        """Evaluate one node of the syntax tree."""
        handlers: dict[type[ast.expr], Callable[[Any], Value]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.BinOp: self._binary,
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare,
            ast.IfExp: self._conditional,
            ast.Subscript: self._subscript,
            ast.Call: self._call,
            ast.List: self._list,
            ast.Tuple: self._list,
        }
        handler = handlers.get(type(node))
        if handler is None:
            raise ConfigError(f"{ast.unparse(node)!r} is not part of the expression language")
        return handler(node)

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool | int | float | str):
            return node.value
        raise ConfigError(f"{ast.unparse(node)!r} is not a number or text")

    def _name(self, node: ast.Name) -> Value:
        unit = unit_quantity(node.id)
        return unit if unit is not None else self.builder.name(node.id)

    def _attribute(self, node: ast.Attribute) -> Value:
        dotted = dotted_name(node) or ""
        if dotted.startswith("db."):
            return self.argument(self.builder.parameter(dotted, self.recipe))
        namespace, _, constant = dotted.partition(".")
        if namespace in ("np", "numpy"):
            if constant not in NUMPY_CONSTANTS:
                raise ConfigError(f"no constant {dotted}; there are {', '.join(NUMPY_CONSTANTS)}")
            return NUMPY_CONSTANTS[constant]
        value = self.node(node.value)
        if not isinstance(value, Ref) or node.attr not in ("period", "offset", "grid", "unit"):
            raise ConfigError(f"no attribute {node.attr!r}; variables have period, offset, grid and unit")
        if node.attr == "unit":
            return value.unit or ""
        grid = value.time_axis
        if grid is None:
            raise ConfigError(
                f"{ast.unparse(node.value)!r} has no time axis; declare grid= or period= where it is made"
            )
        if node.attr == "grid":
            return grid
        return Quantity(grid.period, 1) if node.attr == "period" else v.Offset(grid.offset, grid.t0)

    def _binary(self, node: ast.BinOp) -> Value:
        if type(node.op) not in BINARY:
            raise ConfigError(f"operator of {ast.unparse(node)!r} is not part of the expression language")
        return self.builder.arithmetic(BINARY[type(node.op)], self.node(node.left), self.node(node.right))

    def _unary(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.UAdd):
            return self.node(node.operand)
        if isinstance(node.op, ast.USub):
            return self.builder.arithmetic("multiply", -1, self.node(node.operand))
        raise ConfigError(f"operator of {ast.unparse(node)!r} is not part of the expression language")

    def _compare(self, node: ast.Compare) -> Value:
        if len(node.ops) > 1 or type(node.ops[0]) not in COMPARE:
            raise ConfigError(f"{ast.unparse(node)!r}: one comparison of two values only")
        left, right = self.node(node.left), self.node(node.comparators[0])
        return self.builder.arithmetic(COMPARE[type(node.ops[0])], left, right)

    def _conditional(self, node: ast.IfExp) -> Value:
        return self.builder.where(self.node(node.test), self.node(node.body), self.node(node.orelse))

    def _list(self, node: ast.List | ast.Tuple) -> Value:
        return tuple(self.node(item) for item in node.elts)

    def _subscript(self, node: ast.Subscript) -> Value:
        array = self.node(node.value)
        if not isinstance(array, Ref):
            raise ConfigError(f"{ast.unparse(node.value)!r} is {v.describe(array)}, not an array")
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            return v.take_slice(array, *(None if p is None else self._samples(p, array) for p in parts))
        index = self.node(node.slice)
        if isinstance(index, Ref):
            return self.builder.sample(array, index)
        return v.take_index(array, v.whole_samples(index, array.axis, "index"))

    def _samples(self, node: ast.expr, array: Ref) -> int:
        value = self.node(node)
        if isinstance(value, Ref):
            raise ConfigError(f"{ast.unparse(node)!r}: slices must be constants; use windower for a moving window")
        return v.nearest_samples(value, array.axis, f"slice limit {ast.unparse(node)!r}", self.where)

    def _call(self, node: ast.Call) -> Value:
        name = dotted_name(node.func) or ast.unparse(node.func)
        bare = name.removeprefix("np.").removeprefix("numpy.")
        if node.keywords:
            raise ConfigError(f"{name}: no keyword arguments here")
        arguments = [self.node(a) for a in node.args]
        limits: dict[str, tuple[int, int]] = {
            "len": (1, 1),
            "where": (3, 4),
            "astype": (2, 2),
            "loadlh5": (2, 2),
        } | dict.fromkeys(v.ROUNDING, (1, 3))
        low, high = limits.get(bare, (1, 9))
        if not low <= len(arguments) <= high:
            raise ConfigError(f"{name}: {len(arguments)} arguments, need {low} to {high}")
        if bare == "len":
            return _length(arguments[0])
        if bare in v.ROUNDING:
            return self._round(bare, arguments)
        if bare == "where":
            chosen = self.builder.where(*arguments[:3])
            return chosen if len(arguments) == 3 else self._astype(chosen, arguments[3])
        if bare == "astype":
            return self._astype(*arguments)
        if bare == "loadlh5":
            return _array_of_file(*arguments)
        if bare in UFUNCS:
            return self.builder.ufunc(UFUNCS[bare], *arguments)
        raise ConfigError(
            f"no function {name!r} in expressions; there are len, where, astype, loadlh5, "
            f"{', '.join((*v.ROUNDING, *UFUNCS))}; others are processors of their own"
        )

    def _round(self, name: str, arguments: list[Value]) -> Value:
        if len(arguments) == 3:
            return self._astype(self._round(name, arguments[:2]), arguments[2])
        if isinstance(arguments[0], Ref):
            return self.builder.round(name, arguments[0], arguments[1] if len(arguments) > 1 else 1)
        return v.round_constant(name, *arguments)

    def _astype(self, value: Value, dtype: Value) -> Value:
        if not isinstance(value, Ref) or not isinstance(dtype, str):
            raise ConfigError("astype needs a variable and a type such as 'f4'")
        return self.builder.astype(value, np.dtype(dtype).str[1:])


def _array_of_file(file: Value, group: Value) -> Value:
    from pygama_core import lh5
    from pygama_core.errors import LH5Error

    if not isinstance(file, str) or not isinstance(group, str):
        raise ConfigError("loadlh5 needs a file and a group, both in quotes")
    try:
        values = lh5.read(file, group).values
    except (LH5Error, AttributeError) as error:
        raise ConfigError(f"loadlh5: {file}: {group} is no array that can be read: {error}") from error
    return _nested(np.asarray(values))


def _nested(array: np.ndarray) -> Value:
    return tuple(map(_nested, array)) if array.ndim else array.item()


def _length(value: Value) -> Value:
    if isinstance(value, Ref) and value.length is not None:
        return value.length
    if isinstance(value, Ref) and value.shape:
        return value.shape[-1]
    if isinstance(value, tuple):
        return len(value)
    raise ConfigError(f"len: {v.describe(value)} has no length")


def _declared_axis(given: Mapping[str, Any]) -> Grid | None:
    if isinstance(given.get("grid"), tuple) and len(given["grid"]) == 2:
        given = {"period": given["grid"][0], "offset": given["grid"][1]}
    if "grid" in given:
        if not isinstance(given["grid"], Grid):
            raise ConfigError("grid must be another variable's grid, such as wf.grid")
        return given["grid"]
    if "period" not in given:
        return None
    period, offset = v.quantity(given["period"]), given.get("offset", Quantity(0.0, 1))
    start = v.Offset(offset.value, None) if isinstance(offset, Quantity) and offset.power == 1 else offset
    if period.power != 1 or not isinstance(start, v.Offset):
        raise ConfigError("period and offset must be times, such as 16*ns or wf.offset")
    return Grid(period.value, start.value, start.t0)


def located(error: ConfigError, where: str) -> ConfigError:
    """Return the error with its place in front, unless it names its place already."""
    text = str(error)
    return type(error)(text if text.startswith(where.split(": ")[0]) else f"{where}: {text}")
