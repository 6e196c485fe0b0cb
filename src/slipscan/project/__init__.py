"""A project: the directory that Snakemake runs in, how it begins and what is seen of a run."""
