"""`snakemake --logger slipscan`: Snakemake finds logger plugins by the names of installed packages."""

from slipscan.project.stage_lines import LogHandler as LogHandler
