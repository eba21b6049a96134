"""What the product service can be told."""

from dataclasses import dataclass
from datetime import timedelta

from services.mesh.settings import MeshSettings, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """The settings of the product service.

    `mongo_url`: its MongoDB; the database is the one that the URL names, else `product`.
    `mongo_timeout`: how long one operation may take, finding a server included.
    `sweep_interval`: how often expired reservations are put back.
    `reservation_kept`: how long a product's document remembers a released reservation, and, up to
    a minute, a committed one.
    `watch_interval`: how often the stock of watched products is read.
    `watch_limit`: how many may watch at the same time.
    `image_bucket`, `image_region`: the S3 bucket of pictures and where it is; without a bucket the
    shop keeps none. Credentials and endpoint are the AWS SDK's own business (`AWS_ROLE_ARN`, ...).
    `image_base_uri`: where the pictures are served from, like `https://images.souk.example`.
    `image_upload_life`: how long an upload may be begun.
    """

    mongo_url: Secret
    mongo_timeout: timedelta = timedelta(seconds=2)
    sweep_interval: timedelta = timedelta(seconds=1)
    reservation_kept: timedelta = timedelta(hours=1)
    watch_interval: timedelta = timedelta(milliseconds=500)
    watch_limit: int = 1000
    image_bucket: str | None = None
    image_region: str | None = None
    image_base_uri: str | None = None
    image_upload_life: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """Refuse pictures that nobody could see."""
        if self.image_bucket and not (self.image_base_uri or "").startswith("https://"):
            raise ValueError("SOUK_IMAGE_BUCKET needs SOUK_IMAGE_BASE_URI, an https:// address")
