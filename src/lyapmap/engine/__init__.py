"""Work in other processes and on other machines: one engine, dask.distributed, for all analyses."""
