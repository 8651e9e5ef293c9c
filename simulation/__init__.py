"""PYTHIA 8 events with a parameterised detector, as PFNano-like ROOT files."""
