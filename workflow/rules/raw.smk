# DAQ files to LH5, one per cycle.
RAW = f"{GENERATED}/tier/raw/{CYCLE}-tier_raw.lh5"
FORMAT_OPTION = f"--format {SETTINGS.daq.format}" if SETTINGS.daq.format else ""


rule raw_phy:
    """Decode one DAQ cycle."""
    input:
        daq=daq_file,
        channelmap=CHANNELMAP,
        kernels=ancient(KERNELS),
    output:
        RAW,
    log:
        f"{LOG}/raw/{CYCLE}.log",
    benchmark:
        f"{BENCHMARK}/raw/{CYCLE}.tsv"
    threads: 2
    params:
        channelmap=CHANNELMAP_OPTION,
        format=FORMAT_OPTION,
    shell:
        "pygama-core daq-to-raw {input.daq} {output} {params.channelmap} {params.format} > {log} 2>&1"


use rule raw_phy as raw_cal with:
    wildcard_constraints:
        datatype=CAL,


ruleorder: raw_cal > raw_phy
