"""Pictures of products, in S3.

They never pass through this service: whoever uploads one is given a URL that S3 takes it at, good
for a short time, one key, one type and one length.

    s3://<bucket>/products/<product id>/<image id>.<type>      <base URI>/products/…

The AWS SDK finds credentials by itself; in a pod they are those of its own role, for which it
exchanges the ServiceAccount's token (`AWS_WEB_IDENTITY_TOKEN_FILE`). Only `s3:PutObject` is needed.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import structlog

from services.mesh import ids
from services.mesh.errors import Unavailable
from services.mesh.settings import SettingsError
from services.product.domain.product import ImagesNotKept

_log = structlog.get_logger(__name__)

_EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"image/avif": "avif", "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
)
_TIMEOUT_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """How a picture is put where it belongs: one PUT to `upload_uri` with these headers."""

    upload_uri: str
    headers: Mapping[str, str]
    image_uri: str
    expire_time: datetime


class ImageStore:
    """A bucket of pictures; `client` is the SDK's for S3, None if the shop keeps no pictures."""

    def __init__(self, client: Any, *, bucket: str, base_uri: str, life: timedelta) -> None:
        self._client = client
        self._bucket = bucket
        self._base_uri = base_uri.rstrip("/")
        self._life = life

    async def upload(self, product_id: UUID, *, content_type: str, size_bytes: int) -> Upload:
        """Return how one picture may be put there.

        Raises ImagesNotKept without a bucket, Unavailable when there are no credentials.
        """
        if self._client is None:
            raise ImagesNotKept("this shop keeps no pictures")
        key = f"products/{product_id}/{ids.new_id()}.{_EXTENSIONS[content_type]}"
        expire_time = datetime.now(UTC) + self._life
        try:
            upload_uri = await self._client.generate_presigned_url(
                "put_object",
                # Type and length are signed: S3 takes nothing else under this URL.
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ContentType": content_type,
                    "ContentLength": size_bytes,
                },
                ExpiresIn=int(self._life.total_seconds()),
            )
        except _sdk_errors() as error:
            # The SDK's texts may tell of the account.
            _log.warning("no AWS credentials", error=type(error).__name__)
            raise Unavailable("pictures can't be taken now") from error
        return Upload(
            upload_uri=upload_uri,
            headers={"Content-Type": content_type, "Content-Length": str(size_bytes)},
            image_uri=f"{self._base_uri}/{key}",
            expire_time=expire_time,
        )


KEEPS_NONE: Final = ImageStore(None, bucket="", base_uri="", life=timedelta(0))
"""The store of a shop that keeps no pictures: it refuses."""


@asynccontextmanager
async def opened(
    *, bucket: str | None, region: str | None, base_uri: str | None, life: timedelta
) -> AsyncIterator[ImageStore]:
    """Opens the bucket; with none, a store that refuses. Raises SettingsError without the SDK.

    With no `region` it is the SDK's own (`AWS_DEFAULT_REGION`).
    """
    if bucket is None:
        yield KEEPS_NONE
        return
    try:
        from aiobotocore.session import get_session  # noqa: PLC0415 - an optional dependency
        from botocore.config import Config  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise SettingsError(["SOUK_IMAGE_BUCKET needs the AWS SDK: install souk[aws]"]) from error
    config = Config(
        signature_version="s3v4",
        connect_timeout=_TIMEOUT_SECONDS,
        read_timeout=_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    async with get_session().create_client("s3", region_name=region, config=config) as client:
        yield ImageStore(client, bucket=bucket, base_uri=base_uri or "", life=life)


def _sdk_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - likewise

    return (BotoCoreError, ClientError, OSError)  # the token's file may be missing
