"""Worker processes of another interpreter, and the pool that feeds them."""
