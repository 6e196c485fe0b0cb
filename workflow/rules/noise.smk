rule noise:
    input:
        path("{region}", "{track}", "stack.zarr"),
    output:
        directory(path("{region}", "{track}", "noise.zarr")),
    log:
        path("logs", "{region}", "{track}", "noise.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "noise.tsv")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10, 10),
    params:
        options=options("noise"),
        settings=settings("noise"),
        code=code("noise"),
    shell:
        "slipscan noise {input:q} {output:q} {params.options:q} 2> {log:q}"
