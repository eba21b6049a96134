"""Runs the loyalty service: `python -m services.loyalty [serve|migrate]`."""

from services.loyalty import app
from services.mesh import run

if __name__ == "__main__":
    run.main(app.PROCESS)
