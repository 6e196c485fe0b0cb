# slipscan: from the Sentinel-1 archive to a catalogue of slow slip events.
# One rule a stage, one store a rule; config/README.md explains every key, profiles/ hold what is about machines.


configfile: "config/config.yaml"


container: "docker://slipscan/slipscan:0.1.0"


include: "workflow/rules/common.smk"
include: "workflow/rules/machines.smk"
include: "workflow/rules/archive.smk"
include: "workflow/rules/timeseries.smk"
include: "workflow/rules/noise.smk"
include: "workflow/rules/denoise.smk"
include: "workflow/rules/detect.smk"
include: "workflow/rules/source.smk"
include: "workflow/rules/completeness.smk"
include: "workflow/rules/gnss.smk"
include: "workflow/rules/catalogue.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/train.smk"


localrules:
    all,
    manifests,
    gnss_fetch,


rule all:
    default_target: True
    input:
        # A shard ends with its regions; `snakemake` without one folds what all have found.
        [path(region, "increment.json") for region in REGIONS],
        [] if SETTINGS.shard else [rules.catalogue.output, rules.report.output],
        [path("{region}", "truth.json").format(region=name) for name in WITH_TRUTH],


rule manifests:
    input:
        per_track("manifest.csv"),
