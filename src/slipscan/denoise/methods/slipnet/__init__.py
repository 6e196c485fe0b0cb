"""slipscan's own network: least-squares images of histories, cleaned by a gated U-Net, map and history in turn."""
