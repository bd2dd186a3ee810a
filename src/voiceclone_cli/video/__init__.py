"""Video output: the original pictures with the new sound."""
