# Signal processing of one cycle, with the parameters valid at its time.
rule dsp_phy:
    """Run every channel's processing chain."""
    input:
        raw=RAW,
        configs=list(SETTINGS.dsp.values()),
        channelmap=CHANNELMAP,
        parameters=parameter_files("dsp"),
        kernels=ancient(KERNELS),
    output:
        f"{GENERATED}/tier/dsp/{CYCLE}-tier_dsp.lh5",
    log:
        f"{LOG}/dsp/{CYCLE}.log",
    benchmark:
        f"{BENCHMARK}/dsp/{CYCLE}.tsv"
    threads: 2
    params:
        channelmap=CHANNELMAP_OPTION,
        configs=config_options(SETTINGS.dsp),
    shell:
        "pygama-core raw-to-dsp {input.raw} {output} {params.configs} {params.channelmap}"
        " --parameters {input.parameters} --threads {threads} > {log} 2>&1"


use rule dsp_phy as dsp_cal with:
    wildcard_constraints:
        datatype=CAL,


ruleorder: dsp_cal > dsp_phy
