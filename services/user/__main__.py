"""Runs the user service: `python -m services.user [serve|migrate]`."""

from services.mesh import run
from services.user import app

if __name__ == "__main__":
    run.main(app.PROCESS)
