"""Puts the demo accounts and the catalogue into the running mesh, as any client would.

    Login as the first administrator ─ Register the others ─ AssignRole ─ ImportProducts

Loading again changes nothing that matters: accounts that exist are left, and products known by
their code keep their stock.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import resources

import grpc.aio
from google.protobuf import json_format

from services.local.data_folder import DataFolder
from services.local.demo.accounts import Account
from services.local.endpoints import Endpoints
from souk.product.v1 import product_pb2, product_service_pb2, product_service_pb2_grpc
from souk.user.v1 import user_pb2, user_service_pb2, user_service_pb2_grpc

_FILE = "demo.json"
_CALL_SECONDS = 10
_IMPORT_SECONDS = 60


class LoadingFailed(Exception):
    """The demo data was not taken; the message says what was refused."""


async def load(endpoints: Endpoints, folder: DataFolder, accounts: Mapping[str, Account]) -> None:
    """Loads what is missing; nothing if this very data was loaded before and is still there.

    Raises LoadingFailed.
    """
    catalogue = products()
    fingerprint = _fingerprint(catalogue, accounts)
    async with _channel(endpoints, "product") as product, _channel(endpoints, "user") as user:
        stub = product_service_pb2_grpc.ProductServiceStub(product)
        try:
            if folder.read(_FILE) == fingerprint and await _has_products(stub):
                return
            token = await _load_accounts(user_service_pb2_grpc.UserServiceStub(user), accounts)
            await _import(stub, catalogue, token)
        except grpc.aio.AioRpcError as error:
            message = f"demo data was refused: {error.code().name}: {error.details()}"
            raise LoadingFailed(message) from error
    folder.write(_FILE, fingerprint)


def products() -> list[product_pb2.Product]:
    """Returns the catalogue of `products.json`."""
    file = resources.files("services.local.demo") / "products.json"
    return [
        json_format.ParseDict(item, product_pb2.Product()) for item in json.loads(file.read_bytes())
    ]


def _fingerprint(catalogue: Iterable[product_pb2.Product], accounts: Mapping[str, Account]) -> str:
    digest = hashlib.sha256(repr(sorted(accounts)).encode())
    for product in catalogue:
        digest.update(product.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _channel(endpoints: Endpoints, service: str) -> grpc.aio.Channel:
    """Opens a channel with the developer's identity."""
    certs = endpoints.certs_folder
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(certs / "ca.pem").read_bytes(),
        private_key=(certs / "developer-key.pem").read_bytes(),
        certificate_chain=(certs / "developer.pem").read_bytes(),
    )
    # The certificate names the service; an address alone would fit any service of the mesh.
    options = [("grpc.ssl_target_name_override", service)]
    return grpc.aio.secure_channel(endpoints.grpc[service], credentials, options)


async def _has_products(product: "product_service_pb2_grpc.ProductServiceAsyncStub") -> bool:
    request = product_service_pb2.ListProductsRequest(page_size=1)
    answer = await product.ListProducts(request, timeout=_CALL_SECONDS)
    return bool(answer.products)


async def _import(
    product: "product_service_pb2_grpc.ProductServiceAsyncStub",
    catalogue: Iterable[product_pb2.Product],
    token: str,
) -> None:
    answer = await product.ImportProducts(
        _requests(catalogue), metadata=_bearer(token), timeout=_IMPORT_SECONDS
    )
    if answer.failures:
        refused = "; ".join(f"{failure.sku}: {failure.message}" for failure in answer.failures)
        raise LoadingFailed(f"products were refused: {refused}")


async def _load_accounts(
    users: "user_service_pb2_grpc.UserServiceAsyncStub", accounts: Mapping[str, Account]
) -> str:
    """Registers who is missing, gives the roles, and returns the administrator's access token."""
    admin = await _login(users, accounts["admin"])
    for name, account in accounts.items():
        if name != "admin":
            user = await _register(users, account)
            await _assign(users, user, account.role, admin)
    return admin


async def _register(
    users: "user_service_pb2_grpc.UserServiceAsyncStub", account: Account
) -> user_pb2.User:
    request = user_service_pb2.RegisterRequest(
        email=account.email, password=account.password, display_name=account.display_name
    )
    try:
        return (await users.Register(request, timeout=_CALL_SECONDS)).user
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise
    token = await _login(users, account)
    answer = await users.GetUser(
        user_service_pb2.GetUserRequest(), metadata=_bearer(token), timeout=_CALL_SECONDS
    )
    return answer.user


async def _assign(
    users: "user_service_pb2_grpc.UserServiceAsyncStub", user: user_pb2.User, role: str, admin: str
) -> None:
    roles = [user_pb2.Role.Value(f"ROLE_{role.upper()}")] if role else []
    if list(user.roles) != roles:
        request = user_service_pb2.AssignRoleRequest(user_id=user.user_id, roles=roles)
        await users.AssignRole(request, metadata=_bearer(admin), timeout=_CALL_SECONDS)


async def _login(users: "user_service_pb2_grpc.UserServiceAsyncStub", account: Account) -> str:
    request = user_service_pb2.LoginRequest(email=account.email, password=account.password)
    return (await users.Login(request, timeout=_CALL_SECONDS)).access_token


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def _requests(
    catalogue: Iterable[product_pb2.Product],
) -> AsyncIterator[product_service_pb2.ImportProductsRequest]:
    for product in catalogue:
        yield product_service_pb2.ImportProductsRequest(product=product)
