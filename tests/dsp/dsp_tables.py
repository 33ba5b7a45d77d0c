"""A small table of waveforms and shorthands that run a configuration on it."""

import numpy as np

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.lh5.types import Array, Table

N_ROWS, N_SAMPLES = 5, 100
PERIOD = 16.0
T0 = np.arange(N_ROWS) * 1000.0
VALUES = np.random.default_rng(3).integers(1000, 2000, (N_ROWS, N_SAMPLES)).astype("u2")
EXTREMA = {
    "function": "min_max",
    "module": "dspeed.processors",
    "args": ["wf", "t_lo", "t_hi", "lo", "hi"],
    "unit": ["ns", "us", "ADC", "ADC"],
}


def waveforms(values=VALUES, t0=T0, dt=PERIOD, units="ns"):
    n = len(values)
    return Table(
        {
            "t0": Array(t0[:n], {"units": units}),
            "dt": Array(np.full(n, dt), {"units": units}),
            "values": Array(values),
        }
    )


def table(**columns):
    base = {"wf": waveforms(), "big": Array(np.arange(N_ROWS, dtype="i4") + 2**24 + 1), "x": Array(np.arange(5.0))}
    return Table(base | columns)


def run(processors, outputs=None, parameters=None, tb=None, **settings):
    names = outputs or [n.strip() for key in processors for n in key.split(",")]
    config = {"outputs": names, "processors": processors, **settings}
    return ProcessingChain(config, parameters=parameters, name="ch1").execute(tb or table())


def value(expression, unit=None, parameters=None, more=None, **settings):
    recipe = {"function": expression, "unit": unit, "defaults": settings.pop("defaults", {})}
    return run({"y": recipe, **(more or {})}, ["y"], parameters, **settings).array("y")
