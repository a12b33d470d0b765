"""Dask's worker command with PruneViz's log: `python -m pruneviz.jobs.dask_worker SCHEDULER ...`.

Dask starts each worker as a process that imports this module again, so its log is set up, too.
"""

from __future__ import annotations

from pruneviz import logs

logs.set_up()  # before Dask makes its loggers

if __name__ == "__main__":
    from distributed.cli.dask_worker import main

    main()
