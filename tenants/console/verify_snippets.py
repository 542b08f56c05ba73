"""How a receiver verifies what it is sent (Standard Webhooks, `v1`), in some languages, and how to send it a sample."""

from __future__ import annotations

PYTHON = """\
import base64, hmac, time


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    is_fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return is_fresh and any(hmac.compare_digest(wanted, given) for given in headers["webhook-signature"].split(" "))
"""

NODE = """\
import { createHmac, timingSafeEqual } from "node:crypto";

// `body` is a Buffer of the bytes as they came, before any JSON.parse.
export function verify(secret, headers, body) {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  const wanted = Buffer.from("v1," + createHmac("sha256", key).update(signed).digest("base64"));
  const isFresh = Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"])) < 300;
  return isFresh && headers["webhook-signature"].split(" ").map((given) => Buffer.from(given))
    .some((given) => given.length === wanted.length && timingSafeEqual(given, wanted));
}
"""

CURL = """\
# Sends your receiver a signed event, as the service would.
SECRET='whsec_…' RECEIVER='http://127.0.0.1:3000/webhooks' ID='evt_sample' AT=$(date +%s)
BODY='{"type":"webhook.test","timestamp":"2027-01-31T12:00:00.000Z","data":{}}'
KEY=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=$(printf %s "$ID.$AT.$BODY" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64)
curl -sS -i "$RECEIVER" -H 'Content-Type: application/json' \\
  -H "webhook-id: $ID" -H "webhook-timestamp: $AT" -H "webhook-signature: v1,$SIGNATURE" -d "$BODY"
"""

SNIPPETS = (("Python", PYTHON), ("Node", NODE), ("curl", CURL))
