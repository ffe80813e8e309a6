"""A mail server of the tests: takes mail on loopback and writes each down as a line of JSON.

A recipient whose address begins with `refused` is refused for good, one that begins with `later` for now.
"""

import asyncio
import json
import signal
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Inbox:
    def __init__(self, path):
        self.path = path

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return f"550 5.1.1 <{address}> is nobody here"
        if address.startswith("later"):
            return "451 4.2.0 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("utf-8"),
            "encrypted": session.ssl is not None,
            "user": session.auth_data,
        }
        with open(self.path, "a", encoding="utf-8") as inbox:
            inbox.write(json.dumps(mail) + "\n")
        return "250 2.0.0 taken"


def authenticator(login):
    def authenticate(server, session, envelope, mechanism, data):
        is_known = [data.login.decode(), data.password.decode()] == [login["user"], login["password"]]
        return AuthResult(success=is_known, handled=is_known, auth_data=login["user"] if is_known else None)

    return authenticate


def options(settings):
    if "login" not in settings:
        return {}
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(settings["certificate"], settings["key"])
    return {
        "tls_context": tls,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticator(settings["login"]),
    }


async def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    handler = Inbox(settings["inbox"])
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=False, **options(settings)),
        "127.0.0.1",
        settings["port"],
    )
    await stop.wait()
    server.close()


asyncio.run(main())
