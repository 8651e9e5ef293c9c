"""Histograms to numbers: templates, scale factors, divergence."""
