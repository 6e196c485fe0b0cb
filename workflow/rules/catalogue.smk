rule increment:
    input:
        events=path("{region}", "events.parquet"),
        gnss=path("{region}", "gnss.parquet"),
    output:
        path("{region}", "increment.json"),
    log:
        path("logs", "{region}", "increment.log"),
    benchmark:
        path("benchmarks", "{region}", "increment.tsv")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # Increments are immutable and outlive every run: they are no output that Snakemake may remove.
        directory=path("{region}", "increments"),
        code=code("increment"),
    shell:
        "slipscan increment {input.events:q} {input.gnss:q} {params.directory:q} {output:q} 2> {log:q}"


rule catalogue:
    input:
        [path(region, "increment.json") for region in REGIONS],
    output:
        path("catalogue.gpkg"),
    log:
        path("logs", "catalogue.log"),
    benchmark:
        path("benchmarks", "catalogue.tsv")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=options("catalogue"),
        settings=settings("catalogue"),
        # A fold over every increment on disk, also those of regions that this run does not touch.
        results=lambda wildcards, output: os.path.dirname(output[0]),
        code=code("catalogue"),
    shell:
        "slipscan catalogue {params.results:q} {output:q} {params.options:q} 2> {log:q}"
