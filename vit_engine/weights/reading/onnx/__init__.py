"""ONNX files: tensors and graph read as data and within limits, and the names that PyTorch gave to the tensors."""
