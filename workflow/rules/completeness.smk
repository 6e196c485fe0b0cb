rule completeness:
    input:
        stacks=tracks_of("stack.zarr"),
        calibrations=tracks_of("calibration.json"),
        noise=tracks_of("noise.zarr"),
    output:
        path("{region}", "completeness.parquet"),
    log:
        path("logs", "{region}", "completeness.log"),
    benchmark:
        path("benchmarks", "{region}", "completeness.tsv")
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60, 0.5),
    params:
        options=options("completeness"),
        detector=plain(
            [
                part
                for option in to_options(SETTINGS.detect)
                for part in ("--detect", option)
            ]
        ),
        settings=settings("completeness"),
        calibrations=lambda wildcards, input: [
            part for file in input.calibrations for part in ("--calibration", file)
        ],
        noise=lambda wildcards, input: [
            part for file in input.noise for part in ("--noise", file)
        ],
        until=(
            ["--until", SETTINGS.calibration_as_of]
            if SETTINGS.calibration_as_of
            else []
        ),
        cache=plain(SETTINGS.cache_dir),
        code=code("completeness"),
    shell:
        "slipscan completeness {input.stacks:q} {params.calibrations:q} {params.noise:q} --out {output:q}"
        " {params.until:q} --cache {params.cache:q} --threads {threads} {params.options:q} {params.detector:q} 2> {log:q}"
