"""What the picture models of diffusers share: from a request to finished pictures, one run at a time."""
