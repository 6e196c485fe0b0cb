# What jobs ask of machines, and where transfers run. Profiles name the machines.
from slipscan.fleet.size import memory_mb, runtime_min


# Compute nodes have no internet: transfers run beside Snakemake unless the profile gives them a partition.
def is_local(transfer):
    """Whether a rule that needs the internet runs beside Snakemake."""
    asked = workflow.resource_settings.overwrite_resources.get(transfer, {})
    return "slurm_partition" not in asked


# Snakemake takes profiles/default beside any --profile and lets it win: one archive job, one GPU, the head's cores.
GIVEN = {argument.partition("=")[0] for argument in sys.argv}
if "--profile" in GIVEN and "--workflow-profile" not in GIVEN:
    raise WorkflowError(
        "slipscan: error: beside --profile Snakemake takes profiles/default, which wins: say"
        " --workflow-profile profiles/slurm, or --workflow-profile none beside a profile of your own"
    )


def memory(base_mb):
    """Memory of a job (MB): a base and what its largest store needs, more with every attempt."""
    return signed(lambda wildcards, input, attempt: memory_mb(base_mb, input, attempt))


def minutes(base_min, million_a_second):
    """Wall time of a job (minutes): a base, and its pixel-epochs at this rate, more with every attempt."""
    return signed(
        lambda wildcards, input, attempt: runtime_min(
            base_min, million_a_second, input, attempt
        )
    )


def again(amount):
    """A resource that grows with every attempt."""
    return signed(lambda wildcards, attempt: amount * attempt)
