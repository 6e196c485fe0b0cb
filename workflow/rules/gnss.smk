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


# Not part of `rule all`: `make naf` asks for it.
rule agreement:
    input:
        stations=path("{region}", "stations"),
        stacks=tracks_of("stack.zarr"),
        denoised=tracks_of("denoised.zarr"),
    output:
        path("{region}", "agreement.csv"),
    log:
        path("logs", "{region}", "agreement.log"),
    benchmark:
        path("benchmarks", "{region}", "agreement.tsv")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        options=options("gnss"),
        settings=settings("gnss"),
        stacks=lambda wildcards, input: [
            part for store in input.stacks for part in ("--stack", store)
        ],
        denoised=lambda wildcards, input: [
            part for store in input.denoised for part in ("--denoised", store)
        ],
        code=code("gnss"),
    shell:
        "slipscan agreement {input.stations:q} --out {output:q} {params.stacks:q} {params.denoised:q}"
        " {params.options:q} 2> {log:q}"
