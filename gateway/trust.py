"""Whom the gateway trusts, and what it shows, when it calls upstreams by TLS."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.settings import Options
from gateway.transcoding.descriptors import Faults
from gateway.transcoding.transport.native import tls

if TYPE_CHECKING:
    from services.mesh.certificates import CredentialFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a TLS connection trusts and shows.

    `files` have the authority and what is shown, as they are now. It is None where only the
    authority is given: then nothing is shown.
    """

    ca: bytes
    files: "CredentialFiles | None" = None

    def context(self) -> ssl.SSLContext:
        """Gives what new connections are made with."""
        if self.files is None:
            return tls.client_context(self.ca)
        now = self.files.value
        return tls.client_context(now.ca, now.certificate, now.key)


def read_trust(options: Options) -> Trust | None:
    """Reads the TLS files of the command line; None means plaintext. Raises Faults."""
    if options.upstream_ca is None:
        return None
    from services.mesh.certificates import CredentialFiles  # noqa: PLC0415  # imports X.509

    try:
        if options.upstream_cert is None or options.upstream_key is None:
            trust = Trust(ca=options.upstream_ca.read_bytes())
        else:
            files = CredentialFiles(
                options.upstream_ca, options.upstream_cert, options.upstream_key
            )
            trust = Trust(ca=files.value.ca, files=files)
        trust.context()
    except ssl.SSLError:
        raise Faults([f"{options.upstream_ca}: holds no certificate as PEM"]) from None
    except OSError as error:
        raise Faults([f"{Path(error.filename)}: {error.strerror}"]) from None
    except ValueError as error:
        raise Faults([f"--upstream-ca, -cert, -key: {error}"]) from None
    return trust
