"""Generated from the contracts by `make gen`."""
