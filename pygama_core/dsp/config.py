"""Read a processing-chain configuration (YAML, JSON or a mapping) into frozen recipes; nothing is evaluated yet."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pygama_core.configfile import read_mapping
from pygama_core.dsp.units import unit_quantity
from pygama_core.errors import ConfigError

Argument: TypeAlias = "str | int | float | bool | tuple[Argument, ...]"
CHAIN_KEYS = ("outputs", "processors", "float")
RECIPE_KEYS = (
    "function",
    "module",
    "args",
    "kwargs",
    "unit",
    "defaults",
    "description",
    "lh5_attrs",
    "signature",
    "types",
    "coord_grid",
    "init_args",
)
IGNORED_KEYS = ("comment", "prereqs")  # what the dependency sort and human readers need nothing of
KWARGS = ("signature", "types", "coord_grid")
FLOAT_TYPES = {"float32": "f4", "float64": "f8"}
# modules of the field's packages whose processors are ours by name
ALIASES = re.compile(r"(dspeed|pygama)(\.\w+)*|pygama_core\.dsp\.processors(\.\w+)*")
REDUCTIONS = {"amax": "amax", "max": "amax", "amin": "amin", "min": "amin"}  # of numpy, along the last axis
NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Recipe:
    """How one or several names are made."""

    key: str
    outputs: tuple[str, ...]
    function: str  # registered name, numpy.<ufunc>, or an expression
    args: tuple[Argument, ...] | None  # None: function is an expression
    units: tuple[str | None, ...] = ()  # one for each output, or empty
    defaults: tuple[tuple[str, Any], ...] = ()
    description: str | None = None
    lh5_attrs: tuple[tuple[str, Any], ...] = ()
    coord_grid: str | None = None
    signature: str | None = None  # of a function of another module
    types: tuple[str, ...] = ()
    init_args: tuple[Argument, ...] | None = None  # of a factory


@dataclass(frozen=True)
class ChainConfig:
    """A parsed configuration."""

    source: str  # what messages call it
    outputs: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    working: str = "f4"

    @property
    def by_name(self) -> dict[str, Recipe]:
        """The recipe of each name."""
        return {name: recipe for recipe in self.recipes for name in recipe.outputs}


def load_config(config: Path | str | Mapping[str, Any], source: str | None = None) -> ChainConfig:
    """Read a configuration file or mapping.

    Parameters
    ----------
    config : path of a YAML or JSON file, or what such a file holds
    source : what messages call it; default: the path

    Raises
    ------
    ConfigError : if anything in it is unknown, missing, of the wrong type or defined twice
    """
    if isinstance(config, Mapping):
        return parse_config(config, source or "dsp config")
    return parse_config(read_mapping(Path(config)), source or str(config))


def parse_config(content: Mapping[str, Any], source: str) -> ChainConfig:
    """Check a configuration's shape; see :func:`load_config`."""
    _refuse_unknown(content, (*CHAIN_KEYS, *IGNORED_KEYS), source)
    outputs = content.get("outputs", ())
    if isinstance(outputs, str) or not all(isinstance(name, str) for name in outputs):
        raise ConfigError(f"{source}: outputs must be a list of names, found {outputs!r}")
    processors = content.get("processors", {})
    if not isinstance(processors, Mapping):
        raise ConfigError(f"{source}: processors must be a mapping of names to recipes, found {processors!r}")
    working = content.get("float", "float32")
    if working not in FLOAT_TYPES:
        raise ConfigError(f"{source}: float must be float32 or float64, found {working!r}")
    recipes = tuple(_parse_recipe(str(key), value, f"{source}: {key}") for key, value in processors.items())
    owner: dict[str, str] = {}
    for recipe in recipes:
        for name in recipe.outputs:
            if name in owner:
                raise ConfigError(f"{source}: {name!r} is made by {owner[name]!r} and by {recipe.key!r}; remove one")
            owner[name] = recipe.key
    return ChainConfig(source, tuple(dict.fromkeys(outputs)), recipes, FLOAT_TYPES[working])


def _refuse_unknown(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in content:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}; {hint}")


def _output_names(key: str, where: str) -> tuple[str, ...]:
    names = tuple(filter(None, re.split(r"[,\s]+", key)))
    for name in names:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{where}: {name!r} is not a name; use letters, digits and _")
        if unit_quantity(name) is not None or name == "db":
            raise ConfigError(f"{where}: {name!r} is reserved (a unit of time, or db); choose another name")
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{where}: need one or several different names, separated by commas")
    return names


def _parse_recipe(key: str, value: Any, where: str) -> Recipe:
    names = _output_names(key, where)
    if isinstance(value, str | int | float):
        value = {"function": str(value)}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: a recipe is an expression or a mapping, found {value!r}")
    _refuse_unknown(value, (*RECIPE_KEYS, *IGNORED_KEYS), where)
    if "function" not in value:
        raise ConfigError(f"{where}: no function; give a processor's name or an expression")
    kwargs = value.get("kwargs") or {}
    _refuse_unknown(kwargs, KWARGS, f"{where}: kwargs")
    function, args = _parse_function(value, where)
    if args is None and len(names) > 1:
        raise ConfigError(f"{where}: an expression makes one name, the key has {len(names)}")
    return Recipe(
        key,
        names,
        function,
        args,
        _parse_units(value.get("unit"), names, where),
        tuple((str(k), _freeze(v)) for k, v in _mapping(value, "defaults", where).items()),
        value.get("description"),
        tuple((str(k), v) for k, v in _mapping(value, "lh5_attrs", where).items()),
        value.get("coord_grid", kwargs.get("coord_grid")),
        value.get("signature", kwargs.get("signature")),
        _texts(value.get("types", kwargs.get("types", ())), f"{where}: types"),
        _init_args(value.get("init_args"), where),
    )


def _texts(value: Any, where: str) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{where} must be a list such as ['fi->f', 'di->d'], found {value!r}")
    return tuple(texts)


def _init_args(value: Any, where: str) -> tuple[Argument, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: init_args must be a list, found {value!r}")
    return tuple(_freeze(item) for item in value)


def _mapping(recipe: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = recipe.get(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {key} must be a mapping, found {value!r}")
    return value


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list | tuple) else value


def _parse_units(unit: Any, names: tuple[str, ...], where: str) -> tuple[str | None, ...]:
    if unit is None:
        return ()
    units = tuple(unit) if isinstance(unit, list | tuple) else (unit,) * len(names)
    if len(units) != len(names):
        raise ConfigError(f"{where}: {len(units)} units for {len(names)} outputs; give one, or one for each")
    return tuple(None if u is None else str(u) for u in units)


def _parse_function(recipe: Mapping[str, Any], where: str) -> tuple[str, tuple[Argument, ...] | None]:
    """Return the processor's name and arguments, or an expression and None."""
    function, module, args = str(recipe["function"]), recipe.get("module"), recipe.get("args")
    if args is not None:
        if isinstance(args, str) or not isinstance(args, list | tuple):
            raise ConfigError(f"{where}: args must be a list, found {args!r}")
        frozen = tuple(_freeze(a) for a in args)
        if not re.fullmatch(r"[\w.]+", function):
            raise ConfigError(f"{where}: args were given, so function must be a name, found {function!r}")
        if module is not None and "." in function:
            raise ConfigError(f"{where}: the module is given twice, {module!r} and in {function!r}")
        return processor_name(f"{module}.{function}" if module else function), frozen
    call = _call(function, where)
    if call is not None:
        if module is not None and "." not in call[0]:
            return processor_name(f"{module}.{call[0]}"), call[1]
        if "." in call[0]:
            return processor_name(call[0]), call[1]
    if module is not None:
        raise ConfigError(f"{where}: module without args; list the arguments, inputs first, then outputs")
    return function, None


def _call(text: str, where: str) -> tuple[str, tuple[Argument, ...]] | None:
    """Split ``pkg.mod.fun(a, b, out)``; None if the text is no such call of a dotted name."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{where}: cannot parse {text!r}: {error}") from error
    if not isinstance(tree, ast.Call):
        return None
    name = ast.unparse(tree.func)
    if not re.fullmatch(r"[\w.]+", name):
        return None
    keywords = tuple(f"{k.arg}={ast.unparse(k.value)}" for k in tree.keywords)
    return name, (*(ast.unparse(a) for a in tree.args), *keywords)


def processor_name(dotted: str) -> str:
    """Return our name of a processor given with its module; that of a function of another module stays dotted."""
    module, _, name = dotted.rpartition(".")
    if module in ("numpy", "np"):
        return REDUCTIONS.get(name, f"numpy.{name}")
    return name if module == "" or ALIASES.fullmatch(module) else dotted
