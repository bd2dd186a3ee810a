"""What the benchmarks of reliability share: generated material, a look at processes, faults and their traces."""
