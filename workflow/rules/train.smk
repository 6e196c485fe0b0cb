# Not part of `rule all`: the shipped weights are used. `snakemake train` makes new ones to be named in denoise.weights.
rule train:
    input:
        # The noise product of a region that the weights are made for.
        plain(SETTINGS.train.finetune_region or []),
    output:
        path("weights", SETTINGS.train.name + ".safetensors"),
    log:
        path("logs", "train.log"),
    benchmark:
        path("benchmarks", "train.tsv")
    threads: 2
    resources:
        gpu=1,
        mem_mb=again(8000),
        runtime=again(720),
    params:
        options=options("train"),
        settings=settings("train"),
        code=code("train"),
    shell:
        "slipscan train {output:q} --finish {params.options:q} 2> {log:q}"
