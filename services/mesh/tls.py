"""Makes gRPC's credentials of the certificates: a server's, which follow the files, a channel's."""

import grpc
import structlog

from services.mesh.certificates import CredentialFiles, Credentials

# gRPC's core calls `fetch` by a bare pointer to the credentials, and grpc.aio's server does not
# hold them: they must live until the last handshake, so as long as the process.
_kept: list[grpc.ServerCredentials] = []

_log = structlog.get_logger(__name__)


def server_credentials(files: CredentialFiles) -> grpc.ServerCredentials:
    """Return credentials that demand a client certificate and look for new files at handshakes."""
    known = files.read()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        fresh = files.changed(known)
        if fresh is None:
            return None
        known = fresh
        _log.info("server certificate reloaded")
        return _configuration(fresh)

    credentials = grpc.dynamic_ssl_server_credentials(
        _configuration(known),
        fetch,  # type: ignore[arg-type]  # the stub lacks that None means unchanged
        require_client_authentication=True,
    )
    _kept.append(credentials)
    return credentials


def channel_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """Return what a client shows and trusts."""
    return grpc.ssl_channel_credentials(credentials.ca, credentials.key, credentials.certificate)


def _configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(credentials.key, credentials.certificate)], credentials.ca
    )
