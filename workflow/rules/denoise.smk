rule denoise:
    input:
        stack=path("{region}", "{track}", "stack.zarr"),
        noise=path("{region}", "{track}", "noise.zarr"),
    output:
        directory(path("{region}", "{track}", "denoised.zarr")),
    log:
        path("logs", "{region}", "{track}", "denoise.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "denoise.tsv")
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime=minutes(20, 2),
    params:
        options=options("denoise"),
        settings=settings("denoise"),
        weights=weights_identity(SETTINGS.denoise),
        code=code("denoise"),
    shell:
        "slipscan denoise {input.stack:q} {output:q} --noise {input.noise:q} --threads {threads} {params.options:q} 2> {log:q}"
