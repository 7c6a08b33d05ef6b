"""SCRAM-SHA-256 by hand, with smtplib and hashlib. Prints the server's last reply, then the one to MAIL.

What is answered to the server's own proof is an argument: nothing, "*", or more than there is to say."""
import base64
import hashlib
import hmac
import smtplib
import ssl
import sys

port, ca, user, password, last = sys.argv[1:]


def encode(octets):
    return base64.b64encode(octets).decode()


def mac(key, text):
    return hmac.new(key, text.encode(), "sha256").digest()


client = smtplib.SMTP("localhost", int(port), timeout=30)
client.starttls(context=ssl.create_default_context(cafile=ca))
client.ehlo()
bare = f"n={user},r=fyko+d2lbbFgONRv9qkxdawL"
code, challenge = client.docmd("AUTH", "SCRAM-SHA-256 " + encode(f"n,,{bare}".encode()))
assert code == 334, (code, challenge)
first = base64.b64decode(challenge).decode()
nonce, salt, iterations = (part[2:] for part in first.split(","))
salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
client_key = mac(salted, "Client Key")
without_proof = f"c=biws,r={nonce}"
said = f"{bare},{first},{without_proof}"
signature = mac(hashlib.sha256(client_key).digest(), said)
proof = bytes(one ^ other for one, other in zip(client_key, signature))
code, answer = client.docmd(encode(f"{without_proof},p={encode(proof)}".encode()))
if code == 334:
    expected = f"v={encode(mac(mac(salted, 'Server Key'), said))}"
    assert base64.b64decode(answer).decode() == expected, (answer, expected)
    code, answer = client.docmd(last)
print(code, answer.decode())
print(*client.docmd("MAIL", f"FROM:<{user}@example.mil>"))
client.quit()
