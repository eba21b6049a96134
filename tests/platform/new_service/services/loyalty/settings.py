"""What the loyalty service can be told."""

from dataclasses import dataclass

from services.mesh.settings import MeshSettings, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """The settings of the loyalty service. `database_url`: its PostgreSQL database."""

    database_url: Secret
