"""How a recipe's list of arguments fits what it calls: keywords, factories, functions of other modules."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from pygama_core.dsp.config import Recipe
from pygama_core.dsp.evaluate import Declaration, Evaluator
from pygama_core.dsp.factories import FACTORIES, FILE_FACTORIES, Bound, bind
from pygama_core.dsp.foreign import Call, Slot, argument_types
from pygama_core.dsp.registry import Processor
from pygama_core.dsp.values import Value
from pygama_core.errors import ConfigError

KEYWORD = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)\s*(.+)", re.DOTALL)
LOOKUP = re.compile(r"\s*db\.[\w.]+\s*")


def split_keyword(argument: Any) -> tuple[str | None, Any]:
    """Split ``name=value`` of a configuration; anything else has no name."""
    found = KEYWORD.fullmatch(argument) if isinstance(argument, str) else None
    return (found[1], found[2]) if found else (None, argument)


def is_foreign(recipe: Recipe) -> bool:
    """Whether the recipe calls a function of another module."""
    module, _, name = recipe.function.rpartition(".")
    if module == "numpy":
        kernel = getattr(np, name, None)
        return not (isinstance(kernel, np.ufunc) and kernel.signature is None)
    return bool(module)


def positional(processor: Processor, args: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    """Return arguments in the order of a processor, ``name=value`` ones in their places.

    Raises
    ------
    ConfigError : if a name is unknown or given twice
    """
    split = [split_keyword(a) for a in args]
    if not any(name for name, _ in split):
        return args
    values = [value for name, value in split if name is None]
    given = dict(zip(processor.arguments, values, strict=False))
    for name, value in split:
        if name is not None and (name not in processor.arguments or name in given):
            raise ConfigError(
                f"{where}: keyword {name!r} is unknown or given twice; {processor.name} takes "
                f"{', '.join(processor.arguments)}"
            )
        if name is not None:
            given[name] = value
    return tuple(given[name] for name in processor.arguments if name in given)


def bound_factory(recipe: Recipe, evaluator: Evaluator) -> Bound:
    """Call the factory of a recipe with its evaluated ``init_args``.

    Raises
    ------
    ConfigError : if the arguments do not fit it
    """
    arguments, keywords = [], {}
    for text in recipe.init_args or ():
        name, value = split_keyword(text)
        if recipe.function in FILE_FACTORIES:
            evaluated: Any = _path(value, evaluator)
        else:
            evaluated = evaluator.argument(value)
        if name is None:
            arguments.append(evaluated)
        else:
            keywords[name] = evaluated
    return bind(recipe.function, arguments, keywords)


def _path(value: Any, evaluator: Evaluator) -> Any:
    """Return a path as it is written, quoted, in a list, or looked up in the parameters."""
    if isinstance(value, tuple):
        return tuple(_path(item, evaluator) for item in value)
    if isinstance(value, str) and LOOKUP.fullmatch(value):
        return evaluator.builder.parameter(value.strip(), evaluator.recipe)
    return value.strip().strip("'\"") if isinstance(value, str) else value


def needs_factory(recipe: Recipe, where: str) -> bool:
    """Whether the recipe calls one of our factories.

    Raises
    ------
    ConfigError : if init_args are missing there, or given to something else
    """
    if recipe.function in FACTORIES:
        if recipe.init_args is None:
            raise ConfigError(f"{where}: {recipe.function} is made with init_args; give that list")
        return True
    if recipe.init_args is not None and recipe.init_args != recipe.args:  # older spectra had them twice
        raise ConfigError(f"{where}: {recipe.function} takes no init_args; the factories are {', '.join(FACTORIES)}")
    return False


def foreign_call(
    recipe: Recipe, args: tuple[Any, ...], evaluator: Evaluator
) -> tuple[Call, list[Value], list[Declaration]]:
    """Return how a function of another module is called, its inputs and its outputs.

    Raises
    ------
    ConfigError : if the function cannot be had, or the recipe's names are not its outputs
    """
    init_args = None
    if recipe.init_args is not None:
        init_args = tuple(_constant(evaluator.argument(a), evaluator.where) for a in recipe.init_args)
    takes_text = "U" in argument_types(recipe.function, recipe.signature, recipe.types, init_args)
    slots: list[Slot] = []
    inputs: list[Value] = []
    outputs: list[Declaration] = []
    for argument in args:
        keyword, value = split_keyword(argument)
        declared = evaluator.declaration(value)
        if declared is not None:
            slots.append(Slot("out", keyword))
            outputs.append(declared)
            continue
        evaluated = None if value is None or value == "None" else evaluator.argument(value)
        is_setting = keyword is not None and isinstance(evaluated, int | float)  # such as axis=-1
        if evaluated is None or is_setting or (isinstance(evaluated, str) and (takes_text or len(evaluated) > 1)):
            slots.append(Slot("fixed", keyword, evaluated))  # type: ignore[arg-type]
        else:
            slots.append(Slot("in", keyword))
            inputs.append(evaluated)
    if {d.name for d in outputs} != set(recipe.outputs) or len(outputs) != len(recipe.outputs):
        raise ConfigError(
            f"{evaluator.where}: the arguments of {recipe.function} must hold each name of the key once, as output"
        )
    return Call(recipe.function, tuple(slots), recipe.signature, recipe.types, init_args), inputs, outputs


def _constant(value: Value, where: str) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_constant(item, where) for item in value]
    raise ConfigError(f"{where}: init_args of a function of another module must be numbers, text or lists of them")
