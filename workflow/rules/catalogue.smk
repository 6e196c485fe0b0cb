rule increment:
    input:
        events=path("{region}", "events.parquet"),
        gnss=path("{region}", "gnss.parquet"),
        completeness=path("{region}", "completeness.parquet"),
    output:
        path("{region}", "increment.json"),
    log:
        path("logs", "{region}", "increment.log"),
    benchmark:
        path("benchmarks", "{region}", "increment.tsv")
    threads: 1
    resources:
        mem_mb=again(1000),
        runtime=again(10),
    params:
        # Increments are immutable and outlive every run: they are no output that Snakemake may remove.
        directory=path("{region}", "increments"),
        # Its outline and name go into the increment.
        regions=plain(SETTINGS.regions_file),
        region=region_entry,
        code=code("increment"),
    shell:
        "slipscan increment {input.events:q} {input.gnss:q} {params.directory:q} {output:q}"
        " --regions {params.regions:q} --completeness {input.completeness:q} 2> {log:q}"


# The catalogue itself is no output: Snakemake removes an output before its job, also one that the user has edited or
# has open in QGIS. One that was removed by hand is made anew.
if os.path.exists(path("catalogue.json")) and not os.path.exists(
    path("catalogue.gpkg")
):
    os.remove(path("catalogue.json"))


rule catalogue:
    input:
        [path(region, "increment.json") for region in REGIONS],
    output:
        path("catalogue.json"),
    log:
        path("logs", "catalogue.log"),
    benchmark:
        path("benchmarks", "catalogue.tsv")
    threads: 1
    resources:
        mem_mb=again(4000),
        runtime=again(30),
    params:
        options=options("catalogue"),
        settings=settings("catalogue"),
        # A fold over every increment on disk, also those of regions that this run does not touch.
        results=lambda wildcards, output: os.path.dirname(output[0]),
        catalogue=path("catalogue.gpkg"),
        code=code("catalogue"),
    shell:
        "slipscan catalogue {params.results:q} {params.catalogue:q} --pointer {output:q} {params.options:q} 2> {log:q}"
