"""New key pairs for RS256, ES256 and EdDSA, as JSON Web Keys."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm


def new_private_jwk(algorithm: str) -> dict[str, Any]:
    """Return a new private key: RSA of 3,072 bits, P-256 or Ed25519."""
    if algorithm == "RS256":
        return RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 3_072), as_dict=True)
    if algorithm == "ES256":
        return ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    return OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
