"""Messages that some reader could take for another's, sent by smtplib: what was said to each.

Then what Python's own readers make of those that went through: nobody but Alice, in any of them.
"""
import email
import email.policy
import email.utils
import smtplib
import ssl
import sys

port, ca, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(certificate, key)

A, B = b"alice@example.mil", b"bob@example.com"
fields = [
    b"From: " + A, b"From: Alice <" + A + b">", b"FROM:" + A, b"From:\r\n " + A, b"From: (Bob) " + A, b'From: "B, ob" <' + A + b">",
    b"From: " + B, b"From: <" + B + b">", b"From: Alice <" + B + b">", b"From:" + A + b"," + B, b"From: " + A + b"\r\n\t, " + B,
    b"From: " + A + b"\r\nFrom: " + B, b"From: " + B + b"\r\nFrom: " + A, b"From: " + A + b"\r\nFROM : " + B,
    b"From : " + A, b"From\t: " + B + b"\r\nFrom: " + A, b"From: " + B + b" <" + A + b">", b'From: "' + B + b'" <' + A + b">",
    b"From: <" + A + b"> <" + B + b">", b"From: <" + A + b">," + b" <" + B + b">", b"From: " + A + b"; " + B, b"From: " + A + b" " + B,
    b"From: " + A + b"(" + B + b")", b"From: (" + B + b")" + A, b"From: (a(b) " + B + b") " + A, b"From: (\\) " + B + b") " + A,
    b"From: <" + B + b"(>" + A + b"<)>", b'From: "\\" <' + B + b'>, \\"" <' + A + b">", b'From: "' + B + b', "@example.mil',
    b"From: x:" + A + b";", b"From: x:" + A + b", " + B + b";", b"From: x:;" + A, b"From: x: y: " + A + b";;", b"From: " + B + b":" + A + b";",
    b"From: <@" + B + b":" + A + b">", b"From: <" + B + b":" + A + b">", b"From: alice@(x)example.mil", b"From: alice @example.mil",
    b"From: =?utf-8?q?=3Cbob=40example=2Ecom=3E?= <" + A + b">", b"From: =?utf-8?b?Ym9iQGV4YW1wbGUuY29tAA==?=" + A,
    b"From: =?utf-8?q?bob=40example=2Ecom=2C?= " + A, b"From: =?us-ascii?q?x=0d=0aFrom:_bob=40example.com?= <" + A + b">",
    b"From: =?utf-8?q?bob=40example.com?=\r\n =?utf-8?q?=00?= <" + A + b">", b'From: "=?utf-8?q?bob=40example.com?=" <' + A + b">",
    b"From: bob\xef\xbc\xa0example.com <" + A + b">", b"From: \xe9 <" + A + b">", b"From: \xc3\xa9 <" + A + b">",
    b"From: " + A + b"\r\n \r\n ," + B, b"From: " + A + b"\r\n\t\r\nFrom: " + B, b"Subject: x\r\n \r\nFrom: " + B + b"\r\nFrom: " + A,
    b"From: " + A + b"\r\nX: \x00\r\nY: z", b"From: " + A + b"\r\nX: \x0cFrom: " + B, b"X: \x0b\r\nFrom: " + A,
    b"From: " + A + b"\x00" + B, b"From: " + A + b"\r\nX-Y\r\nFrom: " + B, b"X-Y\r\nFrom: " + A, b" From: " + A, b"From " + B + b" Mon Jan 01\r\nFrom: " + A,
    b"From: " + A + b"\r\nSender: " + B, b"From: " + A + b"\r\nSender: " + A, b"From: " + A + b"\r\nSender: " + A + b"\r\nSender: " + A,
    b"From: " + A + b"\r\nSender: " + A + b"," + A, b"From: " + A + b"," + A + b"\r\nSender: " + A, b"From: " + A + b"," + A, b"From:", b"From: ",
    b"From: <>", b"From: alice", b"From: " + b"x" * 1000 + b" <" + A + b">", b"To: " + A, b"Resent-From: " + A, b"",
    b"From: " + A + b"\r\nReply-To: " + B,
]

accepted = []
for number, field in enumerate(fields):
    if number % 10 == 0:
        client = smtplib.SMTP_SSL("localhost", int(port), context=context, timeout=30)
        client.ehlo()
    # As it is: smtplib mends nothing of bytes, only line ends, and here all are CRLF.
    message = (field + b"\r\n" if field else b"") + b"X-Number: %d\r\n\r\nHello.\r\n" % number
    client.mail("alice@example.mil")
    client.rcpt("somebody@example.net")
    code, text = client.data(message)
    said = f"{code} {text.decode()}".split(" Ok")[0].replace("\n", " / ")
    shown = ascii(field.decode("latin-1"))[1:-1]
    print(f"{shown if len(shown) < 200 else shown[:20] + ' … ' + shown[-24:]}\n    {said}")
    if code == 250:
        accepted.append(message)

for message in accepted:
    for policy in (email.policy.compat32, email.policy.default):
        read = email.message_from_bytes(message, policy=policy)
        for name, address in email.utils.getaddresses([str(value) for value in read.get_all("From") + read.get_all("Sender", [])]):
            assert address.lower() == A.decode(), (message, address)
            assert "@" not in str(email.header.make_header(email.header.decode_header(name))), (message, name)
print(f"{len(accepted)} of {len(fields)} accepted, and Alice is the author of each to Python")
