"""Worker processes of another interpreter, and the pool that leases work to them."""
