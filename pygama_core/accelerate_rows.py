"""Compiled functions with one C signature, and the driver that calls a list of them for each row of a table.

The second place that knows numba. A row function takes the address of its arguments' words and returns 0, or 1 if it
raised. An argument is a number, of which the words hold the address, or an array: address, then one length for each
axis. So the driver needs no type but int64, and is compiled once for all lists.
"""

from __future__ import annotations

import functools
import hashlib
import types as python_types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from pygama_core.accelerate import JIT_OPTIONS, compiling, jit

WORD = 8  # [bytes]
NUMBA_NAMES = {"b1": types.boolean} | {
    f"{kind}{size}": getattr(types, f"{name}{8 * size}")
    for kind, name, sizes in (("i", "int", (1, 2, 4, 8)), ("u", "uint", (1, 2, 4, 8)), ("f", "float", (4, 8)))
    for size in sizes
}


@dataclass(frozen=True)
class Argument:
    """Type of an argument: NumPy's name of the element type, and the number of axes (0 for a number)."""

    dtype: str
    n_axes: int

    @property
    def n_words(self) -> int:
        """Number of words that describe it."""
        return 1 + self.n_axes


@intrinsic
def _call(typing_context: Any, function: Any, words: Any) -> Any:
    """Call the row function at an address with the address of its words."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [word.as_pointer()])
        pointer = builder.inttoptr(values[0], kind.as_pointer())
        return builder.call(pointer, [builder.inttoptr(values[1], word.as_pointer())])

    return types.int64(types.int64, types.int64), generate


@jit("i8(i8, i8, i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1])")
def run_rows(  # noqa: PLR0913 (the whole program)
    first: int, stop: int, functions: Any, places: Any, words: Any, moving: Any, bases: Any, strides: Any
) -> int:
    """Call all functions for each row.

    Parameters
    ----------
    first, stop : rows
    functions : (n_functions,) addresses
    places : (n_functions,) where each function's words begin in ``words``
    words : the arguments
    moving : (n_moving,) words that differ from row to row: ``bases + row * strides`` [bytes]

    Returns
    -------
    -1, or row * n_functions + function of the first failure
    """
    n = len(functions)
    start = words.ctypes.data
    for row in range(first, stop):
        for i in range(len(moving)):
            words[moving[i]] = bases[i] + row * strides[i]
        for i in range(n):
            if _call(functions[i], start + WORD * places[i]):  # type: ignore[call-arg]
                return row * n + i
    return -1


def _operands(arguments: tuple[Argument, ...]) -> Any:
    """Return a compiled function from words to the arguments they describe."""
    kinds = [types.Array(NUMBA_NAMES[a.dtype], a.n_axes, "C") if a.n_axes else NUMBA_NAMES[a.dtype] for a in arguments]
    result = types.Tuple(tuple(kinds))  # type: ignore[no-untyped-call]

    @intrinsic
    def operands(typing_context: Any, words: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made, position = [], 0
            for argument, kind in zip(arguments, kinds, strict=True):
                read = [
                    builder.load(builder.gep(values[0], [ir.Constant(ir.IntType(64), position + i)]))
                    for i in range(argument.n_words)
                ]
                made.append(_operand(context, builder, kind, read))
                position += argument.n_words
            return context.make_tuple(builder, result, made)

        return result(words), generate

    return operands


def _operand(context: Any, builder: Any, kind: Any, read: list[Any]) -> Any:
    if not isinstance(kind, types.Array):
        pointer = builder.inttoptr(read[0], context.get_data_type(kind).as_pointer())
        return context.unpack_value(builder, kind, pointer)
    element = context.get_data_type(kind.dtype)
    size = ir.Constant(ir.IntType(64), context.get_abi_sizeof(element))
    lengths, strides = read[1:], [size]
    for length in reversed(lengths[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = context.make_array(kind)(context, builder)
    populate_array(  # type: ignore[no-untyped-call]
        array,
        data=builder.inttoptr(read[0], element.as_pointer()),
        shape=cgutils.pack_array(builder, lengths, ty=ir.IntType(64)),  # type: ignore[no-untyped-call]
        strides=cgutils.pack_array(builder, strides, ty=ir.IntType(64)),  # type: ignore[no-untyped-call]
        itemsize=size,
        meminfo=None,
    )
    return array._getvalue()


def _row(words):  # type: ignore[no-untyped-def]  # compiled with other globals for each kernel
    try:
        kernel(*operands(words))  # type: ignore[name-defined]  # noqa: F821
    except Exception:
        return 1
    return 0


@functools.cache
def row_function(function: Callable[..., Any], arguments: tuple[Argument, ...], *, exact: bool = False) -> Any:
    """Compile a function of numbers and arrays (outputs are arrays) as a row function, or load it from the cache.

    Parameters
    ----------
    function, arguments
        what is compiled for which types
    exact
        whether each operation is rounded by itself, as NumPy does

    Returns
    -------
    an object with the attribute ``address``; the code lives as long as it does
    """
    from numba import cfunc, njit

    name = f"row_{function.__qualname__}_" + "".join(f"{a.dtype}{'v' * a.n_axes}" for a in arguments).replace(".", "_")
    options = {k: value for k, value in JIT_OPTIONS.items() if k not in ("cache", "nopython")}
    if exact:
        options["fastmath"] = False
    namespace = {"kernel": njit(**options)(function), "operands": _operands(arguments), "__name__": __name__}
    body = python_types.FunctionType(_row.__code__, namespace, name)
    body.__qualname__ = name
    body.__module__ = function.__module__
    with compiling(body, Path(function.__code__.co_filename), own_digest()):
        return cfunc(types.int64(types.CPointer(types.int64)), cache=True)(body)  # type: ignore[no-untyped-call]


@functools.cache
def own_digest() -> str:
    """Return a digest of this module, on which all row functions depend."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
