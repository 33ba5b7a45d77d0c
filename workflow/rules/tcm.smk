# Which hits of which channels belong to one event, one map per cycle.
rule tcm:
    """Build the time-coincidence map of one cycle."""
    input:
        raw=RAW,
    output:
        f"{GENERATED}/tier/tcm/{CYCLE}-tier_tcm.lh5",
    log:
        f"{LOG}/tcm/{CYCLE}.log",
    params:
        window=SETTINGS.tcm.window_ns,
    shell:
        "pygama-core build-tcm {input.raw} {output} --window-ns {params.window} > {log} 2>&1"
