"""The studies of an evaluation: observers of the one pass over the test jets, and rows made of their sums."""
