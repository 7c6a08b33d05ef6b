"""Submits a message by OAUTHBEARER or XOAUTH2, as a program that uses smtplib does."""
import smtplib
import ssl
import sys

port, ca, mechanism, user, token = sys.argv[1:]


def bearer(challenge=None):
    # What the server says of a bad token is answered as RFC 7628 section 3.2.3 has it.
    if challenge:
        print(challenge.decode())
        return "\x01"
    header = f"n,a={user},\x01host=localhost\x01port={port}" if mechanism == "OAUTHBEARER" else f"user={user}"
    return f"{header}\x01auth=Bearer {token}\x01\x01"


with smtplib.SMTP("localhost", int(port), timeout=30) as client:
    client.starttls(context=ssl.create_default_context(cafile=ca))
    client.ehlo()
    client.auth(mechanism, bearer)
    client.sendmail("alice@example.mil", ["somebody@example.net"], sys.stdin.read())
