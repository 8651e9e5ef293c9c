"""The coffea processor: select, weigh, infer, perturb, fill."""
