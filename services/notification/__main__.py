"""Runs the notification service: `python -m services.notification [serve|migrate]`."""

from services.mesh import run
from services.notification import app

if __name__ == "__main__":
    run.main(app.PROCESS)
