"""Runs the payment service: `python -m services.payment [serve|migrate]`."""

from services.mesh import run
from services.payment import app

if __name__ == "__main__":
    run.main(app.PROCESS)
