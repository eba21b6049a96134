"""Pictures go to S3 past the service, with the rights of the pod's own role."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiobotocore.session import get_session

from services.mesh import settings
from services.mesh.errors import Unavailable
from services.mesh.ids import new_id
from services.mesh.settings import SettingsError
from services.product import image_store
from services.product.domain.product import ImagesNotKept
from services.product.image_store import ImageStore
from services.product.settings import Settings
from tests import moto

BUCKET = "souk-product-images"
BASE_URI = "https://images.souk.example"
ROLE = "arn:aws:iam::111122223333:role/souk-product"
PICTURE = b"\x89PNG\r\n\x1a\n picture"
LIFE = timedelta(minutes=5)


@pytest.fixture(scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Runs AWS with the bucket in it."""
    async with moto.server(tmp_path_factory.mktemp("moto")) as url:
        async with _admin(url) as s3:
            await s3.create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": moto.REGION}
            )
        yield url


@pytest.fixture
def pod(aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Gives the environment of a pod with a role: a token in a file, and no key of any kind."""
    token = tmp_path / "token"
    token.write_text("a.projected.token")
    for name, value in {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return token


@pytest.mark.usefixtures("pod")
async def test_a_picture_is_put_where_its_uri_says(aws):
    """Who was given an upload puts the picture there with one PUT; it is in the bucket then."""
    product_id = new_id()
    async with opened() as images:
        upload = await images.upload(product_id, content_type="image/png", size_bytes=len(PICTURE))
    async with (
        aiohttp.ClientSession() as http,
        http.put(upload.upload_uri, data=PICTURE, headers=dict(upload.headers)) as answer,
    ):
        assert answer.status == 200
    key = upload.image_uri.removeprefix(f"{BASE_URI}/")
    assert key.startswith(f"products/{product_id}/")
    assert key.endswith(".png")
    async with _admin(aws) as s3:
        stored = await s3.get_object(Bucket=BUCKET, Key=key)
        assert await stored["Body"].read() == PICTURE
        assert stored["ContentType"] == "image/png"


@pytest.mark.usefixtures("pod")
async def test_an_upload_is_good_for_one_type_one_length_and_a_short_time():
    """What S3 checks of an upload is signed, with credentials that the role was lent."""
    async with opened() as images:
        upload = await images.upload(new_id(), content_type="image/webp", size_bytes=1234)
    query = parse_qs(urlsplit(upload.upload_uri).query)
    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host"]
    assert upload.headers == {"Content-Type": "image/webp", "Content-Length": "1234"}
    assert query["X-Amz-Expires"] == ["300"]
    assert timedelta(0) < upload.expire_time - datetime.now(UTC) <= LIFE
    # Keys that STS lends begin so (IAM, "Unique identifiers"), and come with a session's token.
    assert query["X-Amz-Credential"][0].startswith("ASIA")
    assert query["X-Amz-Security-Token"]


async def test_without_a_token_no_upload_is_given(pod):
    """A pod whose ServiceAccount has no role is told so by the log, and the caller to try later."""
    pod.unlink()
    async with opened() as images:
        with pytest.raises(Unavailable):
            await images.upload(new_id(), content_type="image/png", size_bytes=1)


async def test_a_shop_without_a_bucket_says_so():
    """The RPC is refused; nothing of AWS is needed for that."""
    async with opened(bucket=None) as images:
        with pytest.raises(ImagesNotKept, match="this shop keeps no pictures"):
            await images.upload(new_id(), content_type="image/png", size_bytes=1)


@pytest.mark.parametrize("base_uri", [None, "http://images.souk.example"])
def test_a_bucket_needs_an_address_that_people_can_read(base_uri: str | None):
    """Settings with a bucket and no https:// address for its pictures are refused at start."""
    environ: dict[str, Any] = {
        "SOUK_MONGO_URL": "mongodb://x",
        "SOUK_IMAGE_BUCKET": BUCKET,
        "SOUK_IMAGE_BASE_URI": base_uri,
    }
    with pytest.raises(SettingsError, match="SOUK_IMAGE_BASE_URI"):
        settings.load(Settings, environ)


def opened(bucket: str | None = BUCKET) -> AbstractAsyncContextManager[ImageStore]:
    """Open the store as the service does."""
    return image_store.opened(bucket=bucket, region=moto.REGION, base_uri=BASE_URI, life=LIFE)


def _admin(url: str) -> Any:
    """Opens S3 as who set the bucket up."""
    return get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name=moto.REGION,
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )
