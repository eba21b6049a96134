"""Runs the order service: `python -m services.order [serve|migrate]`."""

from services.mesh import run
from services.order import app

if __name__ == "__main__":
    run.main(app.PROCESS)
