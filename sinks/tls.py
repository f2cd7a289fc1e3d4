"""How a client encrypts its connections."""

import ssl
from pathlib import Path

from pydantic import Field, model_validator

from configs.section import Section


class Tls(Section):
    ca: Path | None = Field(None, description="File of CA certificates to trust (PEM). null: the system's.")
    certificate: Path | None = Field(
        None, description="File of the client's own certificate (PEM), if the server asks for one. null: none."
    )
    key: Path | None = Field(
        None, description="File of its private key (PEM). null: the key is in the certificate's file."
    )
    verify_hostname: bool = Field(True, description="Require that the server's certificate is for its host name.")

    @model_validator(mode="after")
    def _key_of_certificate(self) -> "Tls":
        if self.key and not self.certificate:
            raise ValueError("expected the certificate that the key belongs to, got a key alone")
        return self

    def context(self) -> ssl.SSLContext:
        """Reads the files: raises OSError, whose text names the file that cannot be read, or ssl.SSLError."""
        _expect_readable(self.ca, self.certificate, self.key)
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = self.verify_hostname
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


def _expect_readable(*paths: Path | None) -> None:
    """OpenSSL does not say which file it is."""
    for path in filter(None, paths):
        try:
            path.open("rb").close()
        except OSError as err:
            raise OSError(f"cannot read {path}: {err.strerror}") from err
