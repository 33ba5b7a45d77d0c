"""Write docs/reference/processors.md: ``python -m pygama_core.dsp.reference_page [FILE]``."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pygama_core.dsp.factories import FACTORIES
from pygama_core.dsp.families import FAMILIES
from pygama_core.dsp.registry import Processor, get, load_all

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "processors.md"
TYPES = {"f": "float", "c": "complex", "f8": "float64", "i1": "character", "i4": "int32", "i8": "int64", "u4": "uint32"}
HEAD = """# Signal processors

Written by `python -m pygama_core.dsp.reference_page`; do not edit.

Each processor can be named in a configuration (`module: dspeed.processors` or without a module) and called alone, as
`pygama_core.dsp.registry.get("trap_norm")(waveform, 625, 188)`, on arrays with any number of leading axes. Arguments
are given in the order of the table, outputs last. `float` is the working type of the chain: float32 unless a column or
`float: float64` asks for float64. Sums and recursions are kept in float64 whatever the type of the arrays. A NaN in
any input makes the outputs NaN unless the text says otherwise.
"""
DIFFERENCES = """
## Where numbers differ from dspeed 2.4.3

| processor | here | dspeed |
|---|---|---|
| `linear_slope_diff`, `poly_diff`, `poly_exp_rms` | mean of the residuals | weighted with 1/(i+1) |
| `linear_slope_fit`, trapezoids, moving windows, `moving_window_multi` | float64 sums | drift in float32 |
| `time_point_thresh` | NaN if the start lies outside the waveform | stops the production |
| `interpolated_time_point_thresh` | finds crossings between samples 0 and 1 | ends its search at sample 2 |
| `multi_time_point_thresh` | falling edges mirror rising ones | mode l adds the fraction there; an index can wrap |
| `trap_pickoff` | from the first complete trapezoid on | one sample later |
| `bi_level_zero_crossing_time_points` | a crossing at sample 0 counts; n = 0 for NaN | forgotten; n not reset |
| `interpolating_upsampler` | exact for any ratio | modes f, s off for ratios that are not whole |
| `histogram_around_mode` | NaN input gives an empty histogram | stops the production |
| `poly_fit` | scaled index; NaN for NaN input | plain powers; leaves the outputs untouched |
| `optimize_1pz` | closed form | Minuit from a start value |
| `optimize_2pz` | flattest tail (least squares) | vanishing slope, one condition for three parameters |
| dense and classification layers | an unknown activation is an error; log(1 + exp(x)) does not overflow | NaN; inf |
| `inject_gumbel` | a start time may have a fraction | whole numbers only |
| `svm_predict` | arrays in a NumPy file | pickle |
| `tf_model` | an error that names the layers to use | runs TensorFlow |

A scikit-learn machine is exported for `svm_predict` where it was trained:

```python
numpy.savez(
    "svm.npz",
    support_vectors=m.support_vectors_,
    dual_coef=m.dual_coef_,
    intercept=m.intercept_,
    n_support=m.n_support_,
    classes=m.classes_,
    gamma=m._gamma,
)
```
"""


def page() -> str:
    """Return the page."""
    load_all()
    parts = [HEAD]
    for family, names in FAMILIES.items():
        module = sys.modules[f"pygama_core.dsp.processors.{family}"]
        parts.append(f"\n## {family.replace('_', ' ').capitalize()}\n\n{_summary(module.__doc__)}\n")
        parts.append("| processor | inputs | outputs | definition |\n|---|---|---|---|")
        parts += [_row(get(name)) for name in names]
    parts.append("\n## Factories\n\nMade by `init_args`; their own arguments are the waveform and the output.\n")
    parts.append("| factory | init_args | definition |\n|---|---|---|")
    parts += [_factory_row(name, make) for name, make in FACTORIES.items()]
    return "\n".join(parts) + "\n" + DIFFERENCES


def _row(processor: Processor) -> str:
    dims = processor.layout.inputs + processor.layout.outputs
    arguments = [
        f"`{name}`{_shape(d)} {TYPES.get(token, token)}"
        for name, d, token in zip(processor.arguments, dims, processor.types, strict=True)
    ]
    inputs, outputs = arguments[: processor.n_in], arguments[processor.n_in :]
    return f"| `{processor.name}` | {', '.join(inputs)} | {', '.join(outputs)} | {_summary(processor.doc)} |"


def _shape(dims: tuple[str, ...]) -> str:
    return f" ({', '.join(dims)})" if dims else ""


def _factory_row(name: str, make: Callable[..., Any]) -> str:
    return f"| `{name}` | {', '.join(inspect.signature(make).parameters)} | {_summary(make.__doc__)} |"


def _summary(doc: str | None) -> str:
    """Return what stands before the parameters, in one line, for a table."""
    text = re.split(r"\n\s*(?:Parameters|Raises|Notes)\n\s*-{3,}", doc or "")[0]
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|").replace("**", "\\*\\*")


def main() -> None:
    """Write the page."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page())


if __name__ == "__main__":
    main()
