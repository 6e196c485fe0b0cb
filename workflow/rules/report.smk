rule report:
    input:
        rules.catalogue.output,
        [
            path(region, name)
            for region in REGIONS
            for name in ("events.parquet", "gnss.parquet", "stations")
        ],
        per_track("stack.zarr"),
        per_track("noise.zarr"),
        per_track("denoised.zarr"),
        per_track("transients.zarr"),
    output:
        page=path("report.html"),
        map=path("map.png"),
    log:
        path("logs", "report.log"),
    benchmark:
        path("benchmarks", "report.tsv")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        options=options("report"),
        settings=settings("report"),
        results=SETTINGS.results_dir,
        regions=SETTINGS.regions_file,
        ids=[part for region in REGIONS for part in ("--region", region)],
        code=code("report"),
    shell:
        "slipscan report {input[0]:q} {params.results:q} {output.page:q} {output.map:q} {params.ids:q}"
        " --regions {params.regions:q} {params.options:q} 2> {log:q}"
