"""The one safe expression evaluator: DSP arguments, hit operations, event queries.

An expression is parsed once into a checked syntax tree. Only arithmetic, comparisons, conditionals and a fixed table of
NumPy functions exist; nothing else of Python can be reached from a configuration file.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pygama_core.errors import ExpressionError

MAX_LENGTH = 10_000


def _power(base: Any, exponent: Any) -> Any:
    # two Python integers could grow without limit (9**9**9); everything else is bounded by its dtype
    return float(base) ** exponent if isinstance(base, int) and isinstance(exponent, int) else base**exponent


def _invert(value: Any) -> Any:
    return not value if isinstance(value, bool) else ~value


BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: _invert}
COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name) for name in ("sqrt", "exp", "expm1", "log", "log10", "log1p", "log2", "abs", "absolute")
    },
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "hypot")},
    **{name: getattr(np, name) for name in ("sinh", "cosh", "tanh", "floor", "ceil", "trunc", "sign", "mod", "clip")},
    **{name: getattr(np, name) for name in ("isnan", "isfinite", "isinf", "minimum", "maximum", "where", "nan_to_num")},
    **{name: getattr(np, name) for name in ("logical_and", "logical_or", "logical_not", "logical_xor", "rint")},
    "round": np.round,
}
CONSTANTS: dict[str, float] = {"pi": np.pi, "e": np.e, "nan": np.nan, "inf": np.inf}
NAMESPACES = ("np", "numpy")


def dotted_name(node: ast.AST) -> str | None:
    """Return ``a.b.c`` for a name or an attribute chain, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


class Expression:
    """A checked expression.

    Parameters
    ----------
    text
        the expression; operators ``+ - * / // % ** & | ~ ^``, one comparison at a time or chained, ``a if c else b``
        and the functions of :data:`FUNCTIONS`, with or without ``np.`` in front
    where
        what the messages name: configuration file and key

    Attributes
    ----------
    names : frozenset of str
        free names, dotted ones whole (``hit.energy``); functions and constants are not in it

    Raises
    ------
    ExpressionError
        if the text is no expression or uses anything outside the language
    """

    def __init__(self, text: str, where: str = "expression") -> None:
        self.text = text
        self.where = where
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"{where}: expression of {len(text)} characters; at most {MAX_LENGTH} are allowed")
        try:
            self.tree = ast.parse(text.strip(), mode="eval").body
            self.names = frozenset(self._collect(self.tree))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ExpressionError(f"{where}: cannot parse {text!r}: {error}") from error

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Return the value for the given names: numbers or arrays that broadcast against each other.

        Raises
        ------
        ExpressionError
            if a name is missing or the operation does not fit its operands
        """
        missing = sorted(name for name in self.names if name not in values)
        if missing:
            known = ", ".join(sorted(values)) or "none"
            raise ExpressionError(
                f"{self.where}: {self.text!r} uses unknown {', '.join(missing)}; known names: {known}"
            )
        try:
            with np.errstate(all="ignore"):  # a bad event gives NaN or inf, which is the record of it
                return self._value(self.tree, values)
        except (TypeError, ValueError, ArithmeticError, IndexError) as error:
            raise ExpressionError(f"{self.where}: {self.text!r} failed: {error}") from error

    def _refuse(self, node: ast.AST) -> ExpressionError:
        part = ast.unparse(node)
        hint = "; use & | ~ on bracketed conditions" if isinstance(node, ast.BoolOp | ast.UnaryOp) else ""
        return ExpressionError(f"{self.where}: {part!r} in {self.text!r} is not part of the expression language{hint}")

    def _function(self, node: ast.Call) -> str:
        name = dotted_name(node.func)
        bare = name.removeprefix("np.").removeprefix("numpy.") if name else None
        if bare not in FUNCTIONS:
            raise ExpressionError(
                f"{self.where}: no function {name or ast.unparse(node.func)!r}; known: {', '.join(sorted(FUNCTIONS))}"
            )
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._refuse(node)
        return bare

    def _collect(self, node: ast.AST) -> set[str]:
        """Check the tree and return its free names."""
        match node:
            case ast.Constant(value=value) if isinstance(value, bool | int | float | str):
                return set()
            case ast.Name() | ast.Attribute():
                name = dotted_name(node)
                if name is None or "__" in name.replace("___", ""):
                    raise self._refuse(node)
                return set() if self._constant(name) is not None else {name}
            case ast.Call():
                self._function(node)
                return set().union(*(self._collect(argument) for argument in node.args))
        operands = self._operands(node)
        return set().union(*(self._collect(operand) for operand in operands))

    def _operands(self, node: ast.AST) -> list[ast.expr]:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                return [left, right]
            case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
                return [operand]
            case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in COMPARE for op in ops):
                return [left, *comparators]
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return [test, body, orelse]
        raise self._refuse(node)

    @staticmethod
    def _constant(name: str) -> float | None:
        namespace, _, bare = name.rpartition(".")
        if namespace in NAMESPACES:
            return CONSTANTS.get(bare)
        return CONSTANTS[name] if name in ("nan", "inf") else None

    def _value(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name() | ast.Attribute():
                name = dotted_name(node) or ""
                constant = self._constant(name)
                return values[name] if constant is None else constant
            case ast.Call():
                return FUNCTIONS[self._function(node)](*(self._value(argument, values) for argument in node.args))
        return self._operation(node, [self._value(operand, values) for operand in self._operands(node)])

    @staticmethod
    def _operation(node: ast.AST, operands: list[Any]) -> Any:
        if isinstance(node, ast.BinOp):
            return BINARY[type(node.op)](*operands)
        if isinstance(node, ast.UnaryOp):
            return UNARY[type(node.op)](*operands)
        if isinstance(node, ast.Compare):
            result: Any = True
            for op, left, right in zip(node.ops, operands[:-1], operands[1:], strict=True):
                result = COMPARE[type(op)](left, right) & result
            return result
        return np.where(*operands)
