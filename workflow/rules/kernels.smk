# Compiled code is shared by all jobs of a machine.
KERNELS = f"{GENERATED}/kernels.txt"


rule compile_kernels:
    """Compile the numerical kernels once, before jobs run side by side."""
    output:
        KERNELS,
    log:
        f"{LOG}/compile_kernels.log",
    threads: workflow.cores
    shell:
        "pygama-core warm --output {output} > {log} 2>&1"
