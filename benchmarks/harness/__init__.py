"""Parts of the benchmarks: generated recordings, processes, faults and their effects."""
