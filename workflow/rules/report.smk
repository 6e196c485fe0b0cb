rule report:
    input:
        regions=[
            path(region, name)
            for region in REGIONS
            for name in ("events.parquet", "gnss.parquet", "stations")
        ],
        stacks=per_track("stack.zarr"),
        noise=per_track("noise.zarr"),
        denoised=per_track("denoised.zarr"),
        transients=per_track("transients.zarr"),
        catalogue=rules.catalogue.output[0],
    output:
        page=path("report.html"),
        map=path("map.png"),
    log:
        path("logs", "report.log"),
    benchmark:
        path("benchmarks", "report.tsv")
    threads: 1
    resources:
        mem_mb=again(4000),
        runtime=again(60),
    params:
        options=options("report"),
        settings=settings("report"),
        results=lambda wildcards, input: os.path.dirname(input.catalogue),
        catalogue=plain(path("catalogue.gpkg")),
        regions=plain(SETTINGS.regions_file),
        ids=[part for region in REGIONS for part in ("--region", region)],
        code=code("report"),
    shell:
        "slipscan report {params.catalogue:q} {params.results:q} {output.page:q} {output.map:q} {params.ids:q}"
        " --regions {params.regions:q} {params.options:q} 2> {log:q}"
