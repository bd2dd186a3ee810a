"""A model of a batch: files, slots, the controller and the network between them, as events in time."""
