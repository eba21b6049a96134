"""One module per command; each has `run(options, console)`, which returns the exit code.

They are imported only when called, so that a command pays for nothing that another one needs.
"""
