"""Functions of other modules as processors: NumPy's and SciPy's, and the user's own; a configuration names the module.

Importing a module runs its code, which is what a configuration that names one asks for. What a call looks like is kept
as text (:class:`Call`), so that a plan stays plain data.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pygama_core.dsp.registry import Layout, Processor
from pygama_core.errors import ConfigError, ProcessorError

PREFIX = "foreign:"
FAILURES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


@dataclass(frozen=True)
class Slot:
    """One argument of a call: an input, an output, or a fixed value (text or None)."""

    kind: str  # "in", "out" or "fixed"
    keyword: str | None = None
    value: str | float | None = None


@dataclass(frozen=True)
class Call:
    """How a function of another module is called."""

    function: str  # dotted
    slots: tuple[Slot, ...]
    signature: str | None = None
    types: tuple[str, ...] = ()
    init_args: tuple[Any, ...] | None = None

    @property
    def name(self) -> str:
        """The call as text: the name of its processor in a plan."""
        return PREFIX + json.dumps(asdict(self))


def find(dotted: str, init_args: tuple[Any, ...] | None = None) -> Callable[..., Any]:
    """Import a function; with ``init_args`` call it, and return what it makes.

    Raises
    ------
    ConfigError : if the module cannot be imported, has no such function, or the factory fails
    """
    module, _, name = dotted.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ConfigError(f"module {module!r} cannot be imported: {error}; it must be on PYTHONPATH") from error
    except AttributeError as error:
        raise ConfigError(f"module {module!r} has no {name!r}") from error
    if init_args is not None:
        try:
            function = function(*init_args)
        except FAILURES as error:
            raise ConfigError(f"{dotted}: called with init_args {list(init_args)}: {error!r}") from error
    if not callable(function):
        raise ConfigError(f"{dotted} is no function")
    return function  # type: ignore[no-any-return]


def core_dimensions(function: Callable[..., Any], signature: str | None, types: Sequence[str]) -> tuple[str, list[str]]:
    """Return layout and types of a function: as the recipe gives them, else its own.

    Raises
    ------
    ConfigError : if neither the recipe nor the function has them
    """
    nin, nout = getattr(function, "nin", None), getattr(function, "nout", None)
    own_types = [t for t in getattr(function, "types", None) or () if isinstance(t, str)]
    layout = signature or getattr(function, "signature", None)
    if layout is None and nin is not None and nout is not None:
        layout = ",".join(["()"] * nin) + "->" + ",".join(["()"] * nout)
    chosen = [t.replace(" ", "") for t in types or own_types]
    if not isinstance(layout, str) or not chosen:
        raise ConfigError(
            "a function that is no ufunc needs kwargs, such as {signature: '(n),()->(n)', types: ['fi->f', 'di->d']}"
        )
    return layout.replace(" ", ""), chosen


def _tokens(types: list[str]) -> list[str]:
    """Return the type of each argument; ``f`` where there is a float32 and a float64 version."""
    letters = [t.replace("->", "") for t in types]
    floats = next((t for t in letters if "f" in t), None)
    doubles = next((t for t in letters if "d" in t and "f" not in t), None)
    first = floats or doubles or letters[0]
    if doubles is not None and floats is not None and len(doubles) == len(floats):
        return ["f" if a == "f" and b == "d" else _dtype(a) for a, b in zip(floats, doubles, strict=True)]
    return [_dtype(letter) for letter in first]


def _dtype(letter: str) -> str:
    return "U" if letter == "U" else np.dtype(letter).str[1:]


def argument_types(function: str, signature: str | None, types: Sequence[str], init_args: Any) -> list[str]:
    """Return the type of each argument of a function, inputs first; ``U`` for text."""
    return _tokens(core_dimensions(find(function, init_args), signature, types)[1])


@functools.cache
def foreign_processor(name: str) -> Processor:
    """Return the processor of a :attr:`Call.name`.

    Raises
    ------
    ConfigError : if the function cannot be had, or its layout does not fit the arguments
    """
    content = json.loads(name.removeprefix(PREFIX))
    slots = [Slot(**slot) for slot in content["slots"]]
    init_args = None if content["init_args"] is None else tuple(content["init_args"])
    function = find(content["function"], init_args)
    layout, types = core_dimensions(function, content["signature"], content["types"])
    dims, tokens = re.findall(r"\([^)]*\)", layout), _tokens(types)
    n_out = sum(slot.kind == "out" for slot in slots)
    if len(dims) != len(slots) or len(tokens) != len(slots) or ("->" in layout and _n_out(layout) != n_out):
        raise ConfigError(
            f"{content['function']}: {len(slots)} arguments, {n_out} of them outputs; its layout is {layout} and its "
            f"types are {', '.join(types)}"
        )
    order = _positions(slots, "->" in layout)
    ins = [i for slot, i in zip(slots, order, strict=True) if slot.kind == "in"]
    outs = [i for slot, i in zip(slots, order, strict=True) if slot.kind == "out"]
    text = ",".join(dims[i] for i in ins) + "->" + ",".join(dims[i] for i in outs)
    names = [slot.keyword or f"{slot.kind}_{k}" for k, slot in enumerate(slots, 1)]
    arguments = [n for kind in ("in", "out") for n, slot in zip(names, slots, strict=True) if slot.kind == kind]
    doc = (getattr(function, "__doc__", None) or "").strip()
    return Processor(
        name,
        Layout.parse(text),
        tuple(tokens[i] for i in ins + outs),
        tuple(arguments),
        _kernel(content["function"], function, slots, len(ins)),
        doc,
        label=content["function"],
    )


def _n_out(layout: str) -> int:
    return layout.split("->")[1].count("(")


def _positions(slots: list[Slot], outputs_last: bool) -> list[int]:
    """Return where each argument stands in the layout, which names outputs last if it has an arrow."""
    if not outputs_last:
        return list(range(len(slots)))
    n_in = sum(slot.kind != "out" for slot in slots)
    counters = {"in": iter(range(n_in)), "out": iter(range(n_in, len(slots)))}
    return [next(counters["out" if slot.kind == "out" else "in"]) for slot in slots]


def _kernel(name: str, function: Callable[..., Any], slots: list[Slot], n_in: int) -> Callable[..., None]:
    is_numpy = name.startswith("numpy.") and not isinstance(function, np.ufunc)
    is_plain = not hasattr(function, "signature")  # gufuncs choose their loop by the types of their arguments

    def kernel(*operands: Any) -> None:
        inputs, outputs = iter(operands[:n_in]), iter(operands[n_in:])
        positional, keywords = [], {}
        for slot in slots:
            value: Any = slot.value if slot.kind == "fixed" else next(outputs if slot.kind == "out" else inputs)
            if is_plain and slot.kind == "in" and np.ndim(value) == 0:
                value = value.item()  # such as the axis of a reduction
            if slot.keyword is None:
                positional.append(value)
            else:
                keywords[slot.keyword] = value
        out = keywords.pop("out", None) if is_numpy else None
        try:
            result = function(*positional, **keywords)
            if out is not None:  # NumPy takes an output of its own type only
                out[...] = result
        except FAILURES as error:
            raise ProcessorError(f"{name} failed: {error!r}") from error

    return kernel
