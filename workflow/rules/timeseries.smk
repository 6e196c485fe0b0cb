rule timeseries:
    input:
        path("{region}", "{track}", "observations.zarr"),
    output:
        directory(path("{region}", "{track}", "stack.zarr")),
    log:
        path("logs", "{region}", "{track}", "timeseries.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "timeseries.tsv")
    threads: 4
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, 0.5),
    params:
        options=options("timeseries"),
        settings=settings("timeseries"),
        cache=plain(SETTINGS.cache_dir),
        code=code("timeseries"),
    shell:
        "slipscan timeseries {input:q} {output:q} --cache {params.cache:q} --threads {threads} {params.options:q}"
        " 2> {log:q}"
