"""A minimal OpenID Connect provider: every user is logged in with the claims that the test sets."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jwcrypto import jwk, jwt

CLIENT_ID, CLIENT_SECRET = "school", "a secret of the provider's"


class Provider:
    """The state of a provider: the claims of the user, and the issued codes."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.key = jwk.JWK.generate(kty="RSA", size=2048, kid="1")
        self.issuer = ""

    def configuration(self) -> dict[str, Any]:
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        endpoints = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in paths.items()}
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **endpoints}

    def authorize(self, parameters: dict[str, str]) -> str:
        code = f"code-{len(self.codes)}"
        self.codes[code] = parameters
        return f"{parameters['redirect_uri']}?{urlencode({'code': code, 'state': parameters['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        parameters = self.codes.pop(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        assert parameters["code_challenge"] == challenge.decode()
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 60, **self.claims}
        token = jwt.JWT(header={"alg": "RS256", "kid": "1"}, claims=claims)
        token.make_signed_token(self.key)
        return {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": token.serialize()}


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            match address.path:
                case "/.well-known/openid-configuration":
                    self.answer(provider.configuration())
                case "/jwks":
                    self.answer({"keys": [provider.key.export_public(as_dict=True)]})
                case "/userinfo":
                    self.answer(provider.claims)
                case _:
                    self.send_response(302)
                    parameters = {name: values[0] for name, values in parse_qs(address.query).items()}
                    self.send_header("Location", provider.authorize(parameters))
                    self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.answer(provider.token({name: values[0] for name, values in parse_qs(body).items()}))

        def answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_parts: Any) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    provider.issuer = f"http://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
