# Parameters of each calibration run, and the database that says when which are valid.
SYSTEMS_OPTION = " ".join(f"--system {system}" for system in SETTINGS.par.systems)


rule par_dsp:
    """Fit the pole-zero decay constant of every channel."""
    input:
        raw=run_files("raw"),
        chain=SETTINGS.par.dsp_chain,
        settings=SETTINGS.par.dsp,
        channelmap=CHANNELMAP,
        kernels=ancient(KERNELS),
    output:
        f"{GENERATED}/par/dsp/{RUN}-par_dsp.yaml",
    log:
        f"{LOG}/par_dsp/{RUN}.log",
    benchmark:
        f"{BENCHMARK}/par_dsp/{RUN}.tsv"
    wildcard_constraints:
        datatype=CAL,
    threads: 2
    params:
        channelmap=CHANNELMAP_OPTION,
        systems=SYSTEMS_OPTION,
    shell:
        "pygama-core par-dsp {input.raw} --output {output} --chain {input.chain} --settings {input.settings}"
        " {params.channelmap} {params.systems} > {log} 2>&1"


rule par_hit:
    """Calibrate the energy scale of every channel."""
    input:
        dsp=run_files("dsp"),
        settings=SETTINGS.par.hit,
        channelmap=CHANNELMAP,
    output:
        f"{GENERATED}/par/hit/{RUN}-par_hit.yaml",
    log:
        f"{LOG}/par_hit/{RUN}.log",
    benchmark:
        f"{BENCHMARK}/par_hit/{RUN}.tsv"
    wildcard_constraints:
        datatype=CAL,
    threads: 2
    params:
        channelmap=CHANNELMAP_OPTION,
        systems=SYSTEMS_OPTION,
    shell:
        "pygama-core par-hit {input.dsp} --output {output} --settings {input.settings}"
        " {params.channelmap} {params.systems} > {log} 2>&1"


rule par_validity:
    """Write the catalogue of a tier's parameter files."""
    input:
        lambda wildcards: [PRODUCTION.par_file(wildcards.tier, run) for _, run in PRODUCTION.calibration_runs],
    output:
        f"{GENERATED}/par/{{tier}}/validity.yaml",
    log:
        f"{LOG}/par_validity/{{tier}}.log",
    wildcard_constraints:
        tier="dsp|hit",
    params:
        starts=[start for start, _ in PRODUCTION.calibration_runs],
    shell:
        "pygama-core par-validity {input} --valid-from {params.starts} --output {output} > {log} 2>&1"
