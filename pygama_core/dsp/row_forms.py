"""Each processor as a function of one row, where it has one: what the fused engine can put into a program.

A compiled processor is such a function already. For the few that NumPy computes in blocks, and for NumPy's own ufuncs,
the functions are here; only those whose result does not depend on who computes it.
"""

from __future__ import annotations

import functools
import types as python_types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.dsp.plan import Constant, Operand, Shape, Step, Use, Variable
from pygama_core.dsp.processors._extrema import extrema
from pygama_core.dsp.registry import Kernel, get

EXACT_UFUNCS = frozenset(
    (
        "absolute",
        "add",
        "ceil",
        "divide",
        "equal",
        "floor",
        "greater",
        "greater_equal",
        "isfinite",
        "isnan",
        "less",
        "less_equal",
        "logical_and",
        "logical_not",
        "logical_or",
        "maximum",
        "minimum",
        "multiply",
        "negative",
        "not_equal",
        "rint",
        "sqrt",
        "subtract",
        "trunc",
    )
)


@dataclass(frozen=True)
class RowStep:
    """A step that is computed row by row.

    Parameters
    ----------
    step : of the plan
    function : Python function to compile; takes the inputs, then the outputs as arrays
    types : NumPy type name and number of axes of each argument
    lengths : of the axes of each argument
    """

    step: Step
    function: Callable[..., Any]
    types: tuple[tuple[str, int], ...]
    lengths: tuple[Shape, ...]

    @property
    def is_exact(self) -> bool:
        """Whether each operation is rounded by itself: what NumPy computes elsewhere must be the same here."""
        return self.function.__module__ == __name__


def row_step(step: Step, variables: Mapping[str, Variable]) -> RowStep | str:
    """Return the row form of a step, or why it has none."""
    processor = get(step.processor)
    operands = [*step.inputs, *step.outputs]
    shapes = [_shape(operand, variables) for operand in operands]
    if any(shape is None for shape in shapes):
        return "a constant array, or a part of an array with several axes, is an argument"
    known: list[Shape] = [shape for shape in shapes if shape is not None]
    dims = processor.layout.inputs + processor.layout.outputs
    is_plain = all(len(shape) == len(d) for shape, d in zip(known, dims, strict=True))
    if isinstance(processor.kernel, Kernel):
        if not is_plain:
            return "it is repeated along a further axis"
        function: Callable[..., Any] = processor.kernel.function
    else:
        form = _numpy_form(step.processor, tuple(len(s) for s in known), processor.n_in, is_plain)
        if form is None:
            return "NumPy or Python computes it"
        function = form
    lengths = tuple(s or (1,) if i >= len(step.inputs) else s for i, s in enumerate(known))
    dtypes = [o.dtype if isinstance(o, Constant) else variables[o.variable].dtype for o in operands]
    return RowStep(step, function, tuple((d, len(s)) for d, s in zip(dtypes, lengths, strict=True)), lengths)


def _shape(operand: Operand, variables: Mapping[str, Variable]) -> Shape | None:
    if isinstance(operand, Constant):
        return ()
    shape = variables[operand.variable].shape
    if operand.whole:
        return shape if not operand.pad else None
    if len(shape) != 1 or operand.step != 1 or operand.pad:
        return None
    if operand.index is not None:
        return ()
    return (len(range(*slice(operand.start, operand.stop).indices(shape[0]))),)


def _numpy_form(name: str, axes: tuple[int, ...], n_in: int, is_plain: bool) -> Callable[..., Any] | None:
    if name in _FORMS and is_plain:
        return _FORMS[name]
    if name == "convert_type" and axes == (1, 1):
        return copy_array
    ufunc = name.removeprefix("numpy.")
    if ufunc == name or ufunc not in EXACT_UFUNCS or max(axes) > 1 or n_in > 2:
        return None
    template = _TEMPLATES.get((axes[:n_in], axes[n_in]))
    return None if template is None else _with_ufunc(template, ufunc)


@functools.cache
def _with_ufunc(template: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the template with its free name ``ufunc`` bound, under a name of its own."""
    made = python_types.FunctionType(template.__code__, {"ufunc": getattr(np, name)}, f"{template.__name__}_{name}")
    made.__qualname__, made.__module__ = made.__name__, __name__
    return made


def largest(w_in: Any, axis: Any, a_max: Any) -> None:
    """Largest sample; NaN if any is."""
    found = np.empty(2, w_in.dtype)
    extrema(w_in, found)
    a_max[0] = found[1]


def smallest(w_in: Any, axis: Any, a_min: Any) -> None:
    """Smallest sample; NaN if any is."""
    found = np.empty(2, w_in.dtype)
    extrema(w_in, found)
    a_min[0] = found[0]


def choose(condition: Any, a: Any, b: Any, out: Any) -> None:
    """``a`` where the condition holds, else ``b``."""
    out[0] = a if condition else b


def scale_and_shift(x_in: Any, scale: Any, shift: Any, x_out: Any) -> None:
    """``x * scale + shift``."""
    x_out[0] = x_in * scale + shift


def copy_number(x_in: Any, x_out: Any) -> None:
    """Copy to the output's type."""
    x_out[0] = x_in


def copy_array(x_in: Any, x_out: Any) -> None:
    """Copy to the output's type."""
    for i in range(len(x_in)):
        x_out[i] = x_in[i]


def unary(a: Any, out: Any) -> None:
    """A function of a number."""
    out[0] = ufunc(a)  # type: ignore[name-defined]  # noqa: F821


def unary_each(a: Any, out: Any) -> None:
    """A function of each sample."""
    for i in range(len(out)):
        out[i] = ufunc(a[i])  # type: ignore[name-defined]  # noqa: F821


def binary(a: Any, b: Any, out: Any) -> None:
    """An operation on two numbers."""
    out[0] = ufunc(a, b)  # type: ignore[name-defined]  # noqa: F821


def binary_each(a: Any, b: Any, out: Any) -> None:
    """An operation on the samples of two arrays."""
    for i in range(len(out)):
        out[i] = ufunc(a[i], b[i])  # type: ignore[name-defined]  # noqa: F821


def binary_each_number(a: Any, b: Any, out: Any) -> None:
    """An operation on each sample and a number."""
    for i in range(len(out)):
        out[i] = ufunc(a[i], b)  # type: ignore[name-defined]  # noqa: F821


def binary_number_each(a: Any, b: Any, out: Any) -> None:
    """An operation on a number and each sample."""
    for i in range(len(out)):
        out[i] = ufunc(a, b[i])  # type: ignore[name-defined]  # noqa: F821


_FORMS: dict[str, Callable[..., Any]] = {
    "amax": largest,
    "amin": smallest,
    "where": choose,
    "convert": scale_and_shift,
    "convert_type": copy_number,
}
_TEMPLATES: dict[tuple[tuple[int, ...], int], Callable[..., Any]] = {
    ((0,), 0): unary,
    ((1,), 1): unary_each,
    ((0, 0), 0): binary,
    ((1, 1), 1): binary_each,
    ((1, 0), 1): binary_each_number,
    ((0, 1), 1): binary_number_each,
}


def uses(step: Step) -> list[Use]:
    """Return the variables among a step's arguments."""
    return [operand for operand in (*step.inputs, *step.outputs) if isinstance(operand, Use)]
