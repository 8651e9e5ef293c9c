"""What a tagger is: feature schema, network, ONNX graphs, discriminators, perturbations."""

import os

# Read when ONNX Runtime is loaded, which only modules of this package do: without it the runtime keeps a
# database and an identifier in the home folder, and reports to its maker. Child processes inherit it.
# Source: Privacy.md of ONNX Runtime.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
