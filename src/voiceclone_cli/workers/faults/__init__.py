"""What may go wrong with a lease, and what is done then."""
