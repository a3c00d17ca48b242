"""`python -m chaos`, from the root of the repository, with `tests` among the module paths."""

from chaos.command import main

main(prog_name="python -m chaos")
