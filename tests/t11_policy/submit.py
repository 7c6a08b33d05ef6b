"""Sends one message to several recipients as a program that uses smtplib does, and prints who was refused."""
import smtplib
import sys

port, *recipients = sys.argv[1:]
with smtplib.SMTP("127.0.0.1", int(port), timeout=30) as client:
    refused = client.sendmail("somebody@example.com", recipients, "Subject: by smtplib\r\n\r\nHello.\r\n")
    for recipient, (code, text) in sorted(refused.items()):
        print(recipient, code, text.decode())
