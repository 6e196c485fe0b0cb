rule source:
    input:
        tracks_of("transients.zarr"),
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
        settings=settings("source"),
        code=code("source"),
    shell:
        "slipscan source {input:q} --out {output:q} {params.options:q} 2> {log:q}"
