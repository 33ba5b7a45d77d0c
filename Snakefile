# DAQ files to calibrated events. `snakemake all_evt` makes the built-in experiment of config/config.yaml;
# `snakemake all_evt --configfile my.yaml` makes yours.
from snakemake.utils import min_version, validate

min_version("9.20")


# a site's own configuration replaces the built-in one whole; merged, the demo's keys would show through
if "paths" not in config:

    configfile: workflow.source_path("config/config.yaml")


# the interpreter this is tested with; no effect without --sdm. To work in containers, start snakemake inside one
container: "docker://python:3.11-slim"


validate(config, "workflow/schemas/config.schema.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/kernels.smk"
include: "workflow/rules/daq.smk"
include: "workflow/rules/raw.smk"
include: "workflow/rules/tcm.smk"
include: "workflow/rules/dsp.smk"
include: "workflow/rules/par.smk"
include: "workflow/rules/hit.smk"
include: "workflow/rules/evt.smk"


# the kernel drops this lock with the process, so that a killed production resumes by the same command; snakemake's
# own lock (off in profiles/default) would stay
onstart:
    hold_lock(Path(GENERATED, ".lock"), f"the production in {GENERATED}")


localrules:
    all_raw,
    all_tcm,
    all_dsp,
    all_par,
    all_hit,
    all_evt,


rule all_evt:
    default_target: True
    input:
        PRODUCTION.tier_files("evt", PRODUCTION.runs),
        validity_files(),


rule all_hit:
    input:
        PRODUCTION.tier_files("hit", PRODUCTION.cycles),
        validity_files(),


rule all_par:
    input:
        validity_files(),


rule all_dsp:
    input:
        PRODUCTION.tier_files("dsp", PRODUCTION.cycles),


rule all_tcm:
    input:
        PRODUCTION.tier_files("tcm", PRODUCTION.cycles),


rule all_raw:
    input:
        PRODUCTION.tier_files("raw", PRODUCTION.cycles),
