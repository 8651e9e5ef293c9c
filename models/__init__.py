"""What a tagger is: feature schema, network, ONNX graphs, discriminators, perturbations."""
