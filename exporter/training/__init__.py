"""References at the time of training: logs them, and tells what the exporter will make of them."""
