rule manifest:
    output:
        path("{region}", "{track}", "manifest.csv"),
    log:
        path("logs", "{region}", "{track}", "manifest.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "manifest.tsv")
    localrule: is_local("manifest")
    threads: 1
    resources:
        archive=1,
        mem_mb=again(1000),
        runtime=again(60),
    params:
        options=options("archive"),
        settings=settings("archive"),
        as_of=plain(SETTINGS.as_of),
        regions=plain(SETTINGS.regions_file),
        entry=region_entry,
        code=code("manifest"),
    shell:
        "slipscan archive search {wildcards.region} {wildcards.track} {output:q} --as-of {params.as_of:q}"
        " --regions {params.regions:q} {params.options:q} 2> {log:q}"


rule archive:
    input:
        path("{region}", "{track}", "manifest.csv"),
    output:
        observations=directory(path("{region}", "{track}", "observations.zarr")),
        inventory=path("{region}", "{track}", "inventory.csv"),
    log:
        path("logs", "{region}", "{track}", "archive.log"),
    benchmark:
        path("benchmarks", "{region}", "{track}", "archive.tsv")
    localrule: is_local("archive")
    threads: 1
    resources:
        archive=1,
        mem_mb=again(8000),
        runtime=again(720),
    params:
        options=options("archive"),
        settings=settings("archive"),
        regions=plain(SETTINGS.regions_file),
        cache=plain(SETTINGS.cache_dir),
        entry=region_entry,
        code=code("archive"),
    shell:
        "slipscan archive fetch {wildcards.region} {wildcards.track} {input:q} {output.observations:q}"
        " {output.inventory:q} --regions {params.regions:q} --cache {params.cache:q} {params.options:q} 2> {log:q}"


rule stations:
    output:
        directory(path("{region}", "stations")),
    log:
        path("logs", "{region}", "stations.log"),
    benchmark:
        path("benchmarks", "{region}", "stations.tsv")
    wildcard_constraints:
        region=one_of(name for name in REGIONS if name not in FETCHED),
    localrule: is_local("stations")
    threads: 1
    resources:
        archive=1,
        mem_mb=again(1000),
        runtime=again(60),
    params:
        options=options("archive"),
        settings=settings("archive"),
        directory=plain(
            ["--directory", SETTINGS.gnss.directory] if SETTINGS.gnss.directory else []
        ),
        regions=plain(SETTINGS.regions_file),
        entry=region_entry,
        code=code("archive"),
    shell:
        "slipscan archive stations {wildcards.region} {output:q} --regions {params.regions:q}"
        " {params.directory:q} {params.options:q} 2> {log:q}"


rule gnss_fetch:
    output:
        directory(path("{region}", "stations")),
    log:
        path("logs", "{region}", "gnss_fetch.log"),
    benchmark:
        path("benchmarks", "{region}", "gnss_fetch.tsv")
    wildcard_constraints:
        region=one_of(FETCHED),
    threads: 1
    resources:
        archive=1,
        mem_mb=1000,
        runtime=240,
    params:
        options=options("ngl"),
        settings=settings("ngl"),
        as_of=plain(SETTINGS.as_of),
        regions=plain(SETTINGS.regions_file),
        cache=plain(SETTINGS.cache_dir),
        entry=region_entry,
        code=code("archive"),
    shell:
        "slipscan gnss fetch {wildcards.region} {output:q} --regions {params.regions:q} --cache {params.cache:q}"
        " {params.options:q} 2> {log:q}"


rule truth:
    output:
        path("{region}", "truth.json"),
    log:
        path("logs", "{region}", "truth.log"),
    benchmark:
        path("benchmarks", "{region}", "truth.tsv")
    localrule: True
    threads: 1
    resources:
        mem_mb=again(1000),
        runtime=again(10),
    params:
        options=options("archive"),
        settings=settings("archive"),
        regions=plain(SETTINGS.regions_file),
        entry=region_entry,
        code=code("archive"),
    shell:
        "slipscan archive truth {wildcards.region} {output:q} --regions {params.regions:q}"
        " {params.options:q} 2> {log:q}"
