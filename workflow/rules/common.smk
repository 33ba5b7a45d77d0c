# The production's names and look-ups; nothing here reads a data file.
from pathlib import Path

from pygama_core.atomic import hold_lock
from pygama_core.production import Production, find_cycles, resolve_files
from pygama_core.settings import Config

SETTINGS = resolve_files(Config(**config), Path(workflow.basedir))
PRODUCTION = Production(SETTINGS, find_cycles(SETTINGS))
GENERATED = SETTINGS.paths.generated
CAL = SETTINGS.par.datatype
CYCLE = "{datatype}/{period}/{run}/{experiment}-{period}-{run}-{datatype}-{timestamp}"
RUN = "{datatype}/{period}/{run}/{experiment}-{period}-{run}-{datatype}"
LOG = f"{GENERATED}/log"
BENCHMARK = f"{GENERATED}/benchmark"


# the one literal form of every name; a typo in a target matches no rule
wildcard_constraints:
    experiment=r"\w+",
    period=r"p\d+",
    run=r"r\d+",
    datatype="[a-z]+",
    timestamp=r"\d{8}T\d{6}Z",


def cycle_of(wildcards):
    """The cycle a job is about."""
    return PRODUCTION.cycle(
        f"{wildcards.experiment}-{wildcards.period}-{wildcards.run}-{wildcards.datatype}-{wildcards.timestamp}"
    )


def cycles_of_run(wildcards, datatype=None):
    """All cycles of the run a job is about."""
    return PRODUCTION.run(f"{wildcards.experiment}-{wildcards.period}-{wildcards.run}-{datatype or wildcards.datatype}")


def daq_file(wildcards):
    """The DAQ file of a cycle."""
    return PRODUCTION.daq_file(cycle_of(wildcards))


def run_files(tier, datatype=None):
    """Input function: the files of a tier for all cycles of a run."""
    return lambda wildcards: PRODUCTION.tier_files(tier, cycles_of_run(wildcards, datatype))


def parameter_files(tier):
    """Input function: the parameter files valid for a cycle; none before the first calibration run."""
    return lambda wildcards: PRODUCTION.parameter_files(tier, wildcards.timestamp, wildcards.datatype)


def validity_files():
    """The parameter database's catalogues; none when there is no calibration run."""
    return expand(f"{GENERATED}/par/{{tier}}/validity.yaml", tier=["dsp", "hit"] if PRODUCTION.calibration_runs else [])


def config_options(table):
    """Command-line options that name the configuration of each system."""
    return " ".join(f"--config {system}={path}" for system, path in table.items())


CHANNELMAP = [SETTINGS.channelmap] if SETTINGS.channelmap else []
CHANNELMAP_OPTION = f"--channelmap {SETTINGS.channelmap}" if SETTINGS.channelmap else ""
