rule gnss:
    input:
        events=path("{region}", "events.parquet"),
        stations=path("{region}", "stations"),
        transients=tracks_of("transients.zarr"),
    output:
        path("{region}", "gnss.parquet"),
    log:
        path("logs", "{region}", "gnss.log"),
    benchmark:
        path("benchmarks", "{region}", "gnss.tsv")
    threads: 1
    resources:
        mem_mb=again(2000),
        runtime=again(60),
    params:
        options=options("gnss"),
        settings=settings("gnss"),
        code=code("gnss"),
    shell:
        "slipscan gnss {input.events:q} {input.stations:q} {input.transients:q} --out {output:q}"
        " {params.options:q} 2> {log:q}"
