"""Batch jobs on HTCondor, SLURM and dask clusters: plan, submit, judge, resubmit, merge."""
