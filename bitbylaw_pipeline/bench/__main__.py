"""`python -m bitbylaw_pipeline.bench`: see `--help`."""

from bitbylaw_pipeline.bench.command import bench

bench(prog_name="make bench ARGS=...")
