rule calibrate:
    input:
        stack=path("{region}", "{track}", "stack.zarr"),
        denoised=path("{region}", "{track}", "denoised.zarr"),
        noise=path("{region}", "{track}", "noise.zarr"),
        faults=named(SETTINGS.detect.faults),
    output:
        path("{region}", "{track}", "calibration.json"),
    log:
        path("logs", "{region}", "{track}", "calibrate.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "calibrate.tsv")
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60, 0.15),
    params:
        options=options("detect"),
        settings=settings("detect"),
        # Not as_of by default: a search that finds nothing new must rerun nothing.
        until=(
            ["--until", SETTINGS.calibration_as_of]
            if SETTINGS.calibration_as_of
            else []
        ),
        cache=plain(SETTINGS.cache_dir),
        code=code("calibrate"),
    shell:
        "slipscan calibrate {input.stack:q} {output:q} --denoised {input.denoised:q} --noise {input.noise:q}"
        " {params.until:q} --cache {params.cache:q} --threads {threads} {params.options:q} 2> {log:q}"


rule detect:
    input:
        stack=path("{region}", "{track}", "stack.zarr"),
        denoised=path("{region}", "{track}", "denoised.zarr"),
        noise=path("{region}", "{track}", "noise.zarr"),
        calibration=path("{region}", "{track}", "calibration.json"),
        faults=named(SETTINGS.detect.faults),
    output:
        directory(path("{region}", "{track}", "transients.zarr")),
    log:
        path("logs", "{region}", "{track}", "detect.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "detect.tsv")
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=minutes(20, 2),
    params:
        options=options("detect"),
        settings=settings("detect"),
        code=code("detect"),
    shell:
        "slipscan detect {input.stack:q} {output:q} --denoised {input.denoised:q} --noise {input.noise:q}"
        " --calibration {input.calibration:q} --threads {threads} {params.options:q} 2> {log:q}"
