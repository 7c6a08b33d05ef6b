#!/bin/bash
# samba.sh make|run|start|stop DIR [ADDRESS]: a domain controller of Active Directory as Samba makes it: LDAP and the global
# catalog and nothing else, on their own ports (389, 636, 3268, 3269), which Samba has no setting for: root's, or sudo's.
# It ends when its standard input does.
[ "$(id -u)" = 0 ] || exec sudo -n --preserve-env=PEOPLE,BULK "$0" "$@"
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
BASE=DC=ad,DC=example,DC=test
# Active Directory wants three kinds of characters.
GATEWAY_PW=Svc-Pass-1x
ADMIN_PW=Admin-Pass-1x

make() {
  make_pki "$DIR/pki" "DNS:localhost,IP:$ADDRESS"
  # Samba refuses a key that others may read; the client's own is whose test it is.
  chmod 600 "$DIR/pki/server.key"
  chown "${SUDO_UID:-0}" "$DIR/pki/gateway.key"
  mkdir -p "$DIR/etc"
  configuration > "$DIR/etc/smb.conf"
  { accounts; more_people; } > "$DIR/people.ldif"
  /usr/bin/python3 "$HERE/samba-domain.py" "$DIR" "$ADDRESS" "$ADMIN_PW" >"$DIR/provision.log" 2>&1 ||
    { tail -n 20 "$DIR/provision.log"; die "the domain"; }
  info samba 389 636 "$BASE" "OU=People,$BASE" "CN=gateway,OU=Services,$BASE" "Administrator@ad.example.test"
}

run() {
  exec samba -s "$DIR/etc/smb.conf" -i -M single --debug-stdout
}

configuration() {
  cat <<L
[global]
netbios name = DC1
realm = AD.EXAMPLE.TEST
workgroup = ADTEST
server role = active directory domain controller
server services = ldap
interfaces = $ADDRESS/8
bind interfaces only = yes
ldap server require strong auth = yes
tls enabled = yes
tls keyfile = $DIR/pki/server.key
tls certfile = $DIR/pki/server.pem
tls cafile = $DIR/pki/ca.pem
private dir = $DIR/private
state directory = $DIR/state
cache directory = $DIR/cache
lock directory = $DIR/lock
pid directory = $DIR/run
ncalrpc dir = $DIR/ncalrpc
binddns dir = $DIR/bind-dns
log file = $DIR/log
disable spoolss = yes
[sysvol]
path = $DIR/state/sysvol
[netlogon]
path = $DIR/state/sysvol/scripts
L
}

# What an administrator enters in altSecurityIdentities, made from what openssl shows.
issuer_serial() { # FILE
  local backwards issuer
  backwards=$(serial "$1" hex | fold -w2 | tac | tr -d '\n' | tr A-F a-f)
  issuer=$(openssl x509 -in "$1" -noout -issuer -nameopt sname,sep_comma_plus,utf8)
  printf 'X509:<I>%s<SR>%s' "${issuer#issuer=}" "$backwards" | base64 -w0
}
ski() { openssl x509 -in "$1" -noout -ext subjectKeyIdentifier | tail -n 1 | tr -d ' :' | tr A-F a-f; }
sha1() { openssl x509 -in "$1" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g' | tr A-F a-f; }

user() { # uid cn password lines
  local dn
  dn=$(printf 'CN=%s,%s' "$2" "${PLACE:-OU=People,$BASE}" | base64 -w0)
  printf 'dn:: %s\nobjectClass: user\nsAMAccountName: %s\nuserPrincipalName: %s@ad.example.test\nmail: %s@example.test\nuserAccountControl: 512\nunicodePwd:: %s\n%b\n' \
    "$dn" "$1" "$1" "$1" "$(printf '"%s"' "$3" | iconv -f UTF-8 -t UTF-16LE | base64 -w0)" "${4:-}"
}

accounts() {
  local p=$DIR/pki i unit group
  for unit in Services People Contractors Groups; do
    printf 'dn: OU=%s,%s\nobjectClass: organizationalUnit\n\n' "$unit" "$BASE"
  done
  PLACE=OU=Services,$BASE user gateway gateway "$GATEWAY_PW"
  # Each kind of strong mapping.
  user alice DOE.ALICE.Q.1234567890 Alice-pw-1 "serialNumber: $(serial "$p/alice.pem" hex)\nemployeeNumber: 4711\nproxyAddresses: SMTP:alice@example.test\nproxyAddresses: smtp:a.doe@example.test\nproxyAddresses: x500:/o=Test/cn=alice\naltSecurityIdentities:: $(issuer_serial "$p/alice.pem")\nuserCertificate:: $(b64 "$p/alice.der")\n"
  user bob ROE.BOB.1234567891 Bob-pw-11 "serialNumber: $(serial "$p/bob.pem" hex-colon)\naltSecurityIdentities: X509:<SKI>$(ski "$p/bob.pem")\nuserCertificate:: $(b64 "$p/bob.der")\n"
  user carol "O'NEIL\\, CAROL (ACME) *.1234567892" Carol-pw-1 "serialNumber: 1\naltSecurityIdentities: X509:<SHA1-PUKEY>$(sha1 "$p/carol.pem")\nuserCertificate:: $(b64 "$p/carol.der")\nuserCertificate:: $(b64 "$p/erin.der")\n"
  user dave MÜLLER.DAVE.1234567893 Dave-pw-11 "serialNumber: 128\naltSecurityIdentities: X509:<RFC822>dave@example.test\nemployeeType: exempt\n"
  user erin ERIN.1234567894 Erin-pw-11 "altSecurityIdentities: X509:<RFC822>erin@example.test\n"
  user grace "Grace None" Grace-pw-1
  # Two people of one certificate.
  user twin1 TWIN.ONE.1234567897 Twin1-pw-1 "altSecurityIdentities: X509:<SKI>$(ski "$p/erin.pem")\n"
  user twin2 TWIN.TWO.1234567897 Twin2-pw-1 "altSecurityIdentities: X509:<SKI>$(ski "$p/erin.pem")\n"
  PLACE=OU=Contractors,$BASE user ivan IVAN.1234567898 Ivan-pw-11
  # A distinguished name full of what must be escaped.
  user weird 'Weird\, \"Name\" \+ \<x\> \#1' Weird-pw-1
  user juergen 'Jürgen Groß' Grüße-pw-1
  user disabled DIS.ABLED.1234567800 Disabled-pw-1 "altSecurityIdentities: X509:<RFC822>disabled@example.test\n" | sed 's/^\(userAccountControl:\) 512/\1 514/'
  user expired EXP.IRED.1234567801 Expired-pw-1 'accountExpires: 133000000000000000\naltSecurityIdentities: X509:<RFC822>expired@example.test\n'
  # Until the first of December 2026.
  user leaving LEA.VING.1234567802 Leaving-pw-1 'accountExpires: 134405568000000000\n'
  user mustchange MUST.CHANGE.1234567803 Mustchange-pw-1 'pwdLastSet: 0\n'
  user lockable LOCK.ABLE.1234567804 Lockable-pw-1
  group() { printf 'dn: CN=%s,OU=Groups,%s\nobjectClass: group\nsAMAccountName: %s\nmember: CN=%s,%s\n\n' "$1" "$BASE" "$1" "$2" "$BASE"; }
  group mailers DOE.ALICE.Q.1234567890,OU=People
  group staff mailers,OU=Groups
  for ((i = 1; i <= ${BULK:-120}; i++)); do
    printf 'dn: CN=BULK.%010d,OU=People,%s\nobjectClass: contact\nmail: bulk%05d@example.test\n\n' $i "$BASE" $i
  done
}

bed "$@"
