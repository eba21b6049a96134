"""Runs the product service: `python -m services.product [serve|migrate]`."""

from services.mesh import run
from services.product import app

if __name__ == "__main__":
    run.main(app.PROCESS)
