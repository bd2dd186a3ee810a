"""A model of a batch: files, workers, the coordinator and the network between them, as events in time."""
