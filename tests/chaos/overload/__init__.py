"""Three times what the shop can do, and what becomes of it: `make bench-overload`."""
