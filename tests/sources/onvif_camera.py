"""A camera's ONVIF services on 127.0.0.1, as far as the addresses of its streams need them."""

import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl"
 xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema"
 xmlns:ter="http://www.onvif.org/ver10/error"><s:Body>{}</s:Body></s:Envelope>"""
TIME = """<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>
<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>
<tt:Time><tt:Hour>1</tt:Hour><tt:Minute>2</tt:Minute><tt:Second>3</tt:Second></tt:Time>
<tt:Date><tt:Year>2001</tt:Year><tt:Month>2</tt:Month><tt:Day>3</tt:Day></tt:Date>
</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"""
SERVICES = """<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/media/wsdl</tds:Namespace>
<tds:XAddr>http://192.0.2.77/onvif/media</tds:XAddr>
<tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service></tds:GetServicesResponse>"""
PROFILE = """<trt:Profiles token="{0}"><tt:Name>{0}</tt:Name><tt:VideoEncoderConfiguration token="e{0}">
<tt:Name>e{0}</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding>
<tt:Resolution><tt:Width>{1}</tt:Width><tt:Height>{2}</tt:Height></tt:Resolution><tt:Quality>5</tt:Quality>
<tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"""
PROFILES = (
    f"<trt:GetProfilesResponse>{PROFILE.format('main', 1920, 1080)}{PROFILE.format('sub', 640, 360)}"
    "</trt:GetProfilesResponse>"
)
URI = """<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://me:x@192.0.2.77:554/{}</tt:Uri>
<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>
<tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>"""
FAULT = """<s:Fault><s:Code><s:Value>s:Sender</s:Value>
<s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>
<s:Reason><s:Text xml:lang="en">Sender not Authorized</s:Text></s:Reason></s:Fault>"""


@contextmanager
def onvif_camera(password: str, instead: bytes | None = None) -> Iterator[str]:
    """The URL of its device service. Its clock is a quarter of a century late, and it names services elsewhere.

    `instead`: all that it answers, again and again without an end.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if instead is not None:
                self._flood(instead)
                return
            body = _answer(asked, password)
            answer = ENVELOPE.format(body).encode()
            self.send_response(400 if body == FAULT else 200)
            self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _flood(self, part: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(part)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}/onvif/device_service"
        finally:
            server.shutdown()
            thread.join()


def _answer(asked: str, password: str) -> str:
    if "GetSystemDateAndTime" in asked:
        return TIME
    if not _is_authorized(asked, password):
        return FAULT
    if "GetServices" in asked:
        return SERVICES
    if "GetProfiles" in asked:
        return PROFILES
    token = re.search(r"ProfileToken>(\w+)<", asked)
    assert token is not None, asked
    return URI.format(token[1])


def _is_authorized(asked: str, password: str) -> bool:
    """By a digest (WS-UsernameToken) that was made by the camera's own clock."""
    found = {name: re.search(rf"<\w+:{name}[^>]*>([^<]+)<", asked) for name in ("Password", "Nonce", "Created")}
    digest, nonce, created = (match[1] if match else "" for match in found.values())
    expected = hashlib.sha1(base64.b64decode(nonce) + created.encode() + password.encode()).digest()  # noqa: S324  # its
    return base64.b64decode(digest) == expected and created.startswith("2001-02-03T01:02:")
