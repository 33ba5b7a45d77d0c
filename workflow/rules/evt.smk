# Events: all channels together, one file per run.
rule evt:
    """Build the events of all cycles of a run."""
    input:
        tcm=run_files("tcm"),
        dsp=run_files("dsp"),
        hit=run_files("hit"),
        settings=SETTINGS.evt,
        channelmap=CHANNELMAP,
    output:
        f"{GENERATED}/tier/evt/{RUN}-tier_evt.lh5",
    log:
        f"{LOG}/evt/{RUN}.log",
    benchmark:
        f"{BENCHMARK}/evt/{RUN}.tsv"
    params:
        channelmap=CHANNELMAP_OPTION,
    shell:
        "pygama-core hit-to-evt {output} --tcm {input.tcm} --dsp {input.dsp} --hit {input.hit}"
        " --config {input.settings} {params.channelmap} > {log} 2>&1"
