"""`python -m bench`, from the root of the repository."""

import sys

from bench.children import SHARED_WITH_TESTS

sys.path.append(SHARED_WITH_TESTS["PYTHONPATH"])

from bench.program import main

main(prog_name="python -m bench")
