# The built-in experiment: DAQ files with known truth. Without `simulation` in the configuration there is no rule that
# writes below paths.daq.
if SETTINGS.simulation:

    rule simulate:
        """Write one simulated DAQ cycle and, beside it, its truth."""
        input:
            settings=SETTINGS.simulation,
            channelmap=CHANNELMAP,
            kernels=ancient(KERNELS),
        output:
            daq=f"{SETTINGS.paths.daq}/{CYCLE}.{{extension}}",
            truth=f"{SETTINGS.paths.daq}/{CYCLE}.{{extension}}-truth.lh5",
        log:
            f"{LOG}/simulate/{CYCLE}.{{extension}}.log",
        wildcard_constraints:
            extension="fcio|orca",
        params:
            channelmap=CHANNELMAP_OPTION,
        shell:
            "pygama-core simulate {input.settings} {params.channelmap}"
            " --key {wildcards.experiment}-{wildcards.period}-{wildcards.run}-{wildcards.datatype}-{wildcards.timestamp}"
            " --daq {output.daq} --truth {output.truth} > {log} 2>&1"
