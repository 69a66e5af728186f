"""`python -m earwitness` is the command `earwitness`."""

from .cli import main

main()
