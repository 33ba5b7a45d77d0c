# Calibrated quantities of every hit, with the parameters valid at the cycle's time.
rule hit:
    """Evaluate every channel's hit operations."""
    input:
        dsp=f"{GENERATED}/tier/dsp/{CYCLE}-tier_dsp.lh5",
        configs=list(SETTINGS.hit.values()),
        channelmap=CHANNELMAP,
        parameters=parameter_files("hit"),
    output:
        f"{GENERATED}/tier/hit/{CYCLE}-tier_hit.lh5",
    log:
        f"{LOG}/hit/{CYCLE}.log",
    params:
        channelmap=CHANNELMAP_OPTION,
        configs=config_options(SETTINGS.hit),
    shell:
        "pygama-core dsp-to-hit {input.dsp} {output} {params.configs} {params.channelmap}"
        " --parameters {input.parameters} > {log} 2>&1"
