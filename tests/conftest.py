"""What all tests share: this folder on the path, and property tests that take the same examples on every machine.

New examples are looked for on purpose, with `HYPOTHESIS_PROFILE=default`: a change must not fail by luck.
"""

import os
import signal

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)  # nor by a slow machine
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# A job in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
