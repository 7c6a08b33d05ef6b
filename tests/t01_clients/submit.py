"""Submits the message on standard input, as a program that uses smtplib does."""
import smtplib
import ssl
import sys

mode, port, version, ca, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
context.load_cert_chain(certificate, key)
if mode == "implicit":
    client = smtplib.SMTP_SSL("localhost", int(port), context=context, timeout=30)
else:
    client = smtplib.SMTP("localhost", int(port), timeout=30)
    client.starttls(context=context)
with client:
    client.sendmail("alice@example.mil", ["somebody@example.net"], sys.stdin.read())
