"""ROOT files to arrays to checkpoints to ONNX."""
