"""Answers on port 6443 as a ready API server does; the certificate is in the working directory."""

import http.server
import socket
import ssl


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Says which machine answered, whatever was asked."""
        name = socket.gethostname().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(name)))
        self.end_headers()
        self.wfile.write(name)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("api.pem")
server = http.server.ThreadingHTTPServer(("", 6443), Ready)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
