"""`python -m slipscan`: what torchrun starts."""

from slipscan.cli import main

main()
