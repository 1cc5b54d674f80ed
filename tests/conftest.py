"""What all tests share: this folder on the path, and property tests that take the same examples on every machine.

New examples are looked for on purpose, with `HYPOTHESIS_PROFILE=default`: a change must not fail by luck.
"""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)  # nor by a slow machine
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
