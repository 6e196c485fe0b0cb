rule source:
    input:
        transients=tracks_of("transients.zarr"),
        noise=tracks_of("noise.zarr"),
        stacks=tracks_of("stack.zarr"),
        files=named(SETTINGS.source.earthquakes, SETTINGS.source.faults),
    output:
        path("{region}", "events.parquet"),
    log:
        path("logs", "{region}", "source.log"),
    benchmark:
        path("benchmarks", "{region}", "source.tsv")
    threads: 1
    resources:
        mem_mb=again(4000),
        runtime=again(120),
    params:
        options=options("source"),
        noise=lambda wildcards, input: [
            word for product in input.noise for word in ("--noise", product)
        ],
        stacks=lambda wildcards, input: [
            word for stack in input.stacks for word in ("--stack", stack)
        ],
        settings=settings("source"),
        code=code("source"),
    shell:
        "slipscan source {input.transients:q} --out {output:q} {params.noise:q} {params.stacks:q}"
        " {params.options:q} 2> {log:q}"
