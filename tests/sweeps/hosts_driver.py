"""One of several processes that do a sweep together.

JAX_COORDINATOR_ADDRESS=... JAX_NUM_PROCESSES=... JAX_PROCESS_ID=... python hosts_driver.py FOLDER
"""

from __future__ import annotations

import sys

from shared_runs import PLAN

from scaling.devices.processes import is_first, join
from scaling_descent import look_for_garbage_seldom
from sweeps import processes
from sweeps.runner import run_sweeps

if __name__ == "__main__":
    look_for_garbage_seldom()  # as the command does
    join()
    if is_first():
        (job,) = run_sweeps([(sys.argv[1], PLAN)], run="shared_runs:run", engine="together").jobs
        print(job.done, len(job.failed), len(job.missing))
    else:
        processes.follow()
