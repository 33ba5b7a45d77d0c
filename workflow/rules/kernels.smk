# Compiled code is shared by all jobs of a machine.
KERNELS = f"{GENERATED}/kernels.txt"
CHAINS = [SETTINGS.par.dsp_chain, *SETTINGS.dsp.values()]


rule compile_kernels:
    """Compile the numerical kernels once, before jobs run side by side."""
    input:
        ancient(CHAINS),
    output:
        KERNELS,
    log:
        f"{LOG}/compile_kernels.log",
    threads: workflow.cores
    shell:
        "pygama-core warm --chain {input} --output {output} > {log} 2>&1"
