# What the beds share: how they are started, a PKI, and the same people for every family. Sourced, not run.
# PEOPLE names a file of LDIF with more of them.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
SUFFIX=dc=example,dc=test
ADMIN_PW=Admin-Pass-1
GATEWAY_PW=Svc-Pass-1
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "ERROR: $*" >&2; exit 1; }

# bed VERB DIR [ADDRESS]: a family's script defines `make` and `run`, and calls this. DIR holds everything there is; ADDRESS
# is one of loopback's, so that beds side by side do not meet.
#   make   configuration and people in an empty DIR; DIR/info tells how to reach the server
#   run    the server, in this process
#   start  both, the server in the background; ends when it listens
#   stop   ends what `start` started
#   remove stops it, and takes DIR away
bed() {
  [ $# -ge 2 ] || die "usage: $0 make DIR [ADDRESS] | run DIR | start DIR [ADDRESS] | stop DIR | remove DIR"
  mkdir -p "$2"
  DIR=$(cd "$2" && pwd)
  ADDRESS=${3:-$(cat "$DIR/address" 2>/dev/null || echo 127.0.0.1)}
  case $1 in
    make)
      [ -z "$(ls -A "$DIR")" ] || die "$DIR is not empty"
      echo "$ADDRESS" > "$DIR/address"
      make
      ;;
    run)
      cd "$DIR"
      # What it becomes has the same number.
      echo $$ > "$DIR/pid"
      run
      ;;
    start)
      "$0" make "$DIR" "$ADDRESS"
      setsid "$0" run "$DIR" </dev/null >"$DIR/server.log" 2>&1 &
      echo $! > "$DIR/pid"
      listens "$ADDRESS" "$(sed -n 's/^LDAPS_PORT=//p' "$DIR/info")" || { tail -n 20 "$DIR/server.log" >&2; die "it does not listen"; }
      cat "$DIR/info"
      ;;
    stop) stop ;;
    remove)
      stop
      rm -rf "$DIR"
      ;;
    *) die "make, run, start, stop or remove, not $1" ;;
  esac
}

listens() { # ADDRESS PORT
  local i
  for ((i = 0; i < 600; i++)); do
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null && return
    kill -0 "$(cat "$DIR/pid")" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

stop() {
  local pid i
  pid=$(cat "$DIR/pid" 2>/dev/null || echo none)
  # The number may have become another process's: ours works in DIR, or below it.
  if [[ "$(readlink "/proc/$pid/cwd")/" = "$DIR"/* ]]; then
    kill "$pid"
    for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  fi
  rm -f "$DIR/pid"
  cleanup
}

# What a family's server leaves elsewhere.
cleanup() { :; }

# info FAMILY PORT LDAPS_PORT BASE PEOPLE BIND_DN ADMIN_DN
info() {
  cat > "$DIR/info" <<L
FAMILY=$1
ADDRESS=$ADDRESS
PORT=$2
LDAPS_PORT=$3
URL=ldap://$ADDRESS:$2
LDAPS_URL=ldaps://$ADDRESS:$3
PKI=$DIR/pki
CA=$DIR/pki/ca.pem
BASE=$4
PEOPLE=$5
BIND_DN=$6
BIND_PW=$GATEWAY_PW
ADMIN_DN=$7
ADMIN_PW=$ADMIN_PW
L
}

# make_pki DIR NAMES: an authority, a server with these names, the gateway's own certificate, a second authority that
# nobody trusts, and a certificate for each person, of an issuer whose name has awkward characters.
make_pki() {
  local d=$1 names=$2 uid serial cn
  [ -e "$d/complete" ] && return
  mkdir -p "$d"
  key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
  sign() { # NAME ISSUER SERIAL DAYS EXTENSIONS
    openssl x509 -req -in "$d/$1.csr" -CA "$d/$2.pem" -CAkey "$d/$2.key" -set_serial "$3" -days "$4" -sha256 \
      -out "$d/$1.pem" -extfile <(printf '%b' "$5") 2>/dev/null
  }
  local ca
  for ca in ca stranger; do
    key "$d/$ca.key"
    openssl req -x509 -new -key "$d/$ca.key" -days 3650 -sha256 -out "$d/$ca.pem" \
      -subj "/C=XX/O=Test Org/OU=Directory/CN=Directory Test CA $ca" \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  done
  key "$d/server.key"
  openssl req -new -key "$d/server.key" -sha256 -out "$d/server.csr" -subj "/O=Test Org/CN=server" 2>/dev/null
  sign server ca 0x1001 800 "subjectAltName=$names\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
  key "$d/gateway.key"
  openssl req -new -key "$d/gateway.key" -sha256 -out "$d/gateway.csr" -subj "/O=Test Org/CN=gateway" 2>/dev/null
  sign gateway ca 0x1002 800 "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n"
  key "$d/userca.key"
  openssl req -new -key "$d/userca.key" -sha256 -out "$d/userca.csr" -utf8 -nameopt utf8 -multivalue-rdn \
    -subj "/C=XX/O=Test, Inc. \"East\"+L=Köln/OU=PKI/CN=User CA \\#1" 2>/dev/null
  sign userca ca 0x2001 1800 "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
  while read -r uid serial cn; do
    key "$d/$uid.key"
    openssl req -new -key "$d/$uid.key" -sha256 -utf8 -out "$d/$uid.csr" -subj "/C=XX/O=Test Org/OU=People/CN=$cn" 2>/dev/null
    sign "$uid" userca "$serial" 800 "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nsubjectAltName=email:$uid@example.test\n"
    openssl x509 -in "$d/$uid.pem" -outform DER -out "$d/$uid.der"
  done <<'P'
alice 0x4A5B6C DOE.ALICE.Q.1234567890
bob 0x7EADBEEF0123456789ABCDEF01234567 ROE.BOB.1234567891
carol 0x01 O'NEIL, CAROL (ACME) *.1234567892
dave 0x80 MÜLLER.DAVE.1234567893
erin 0x0A0B ERIN.1234567894
P
  touch "$d/complete"
}

ssha() { # the salt is fixed, so that runs are alike
  printf '{SSHA}%s' "$({ printf '%sSaltSalt' "$1" | openssl dgst -sha1 -binary; printf SaltSalt; } | base64 -w0)"
}

serial() { # FILE hex | hex-colon | decimal
  local h; h=$(openssl x509 -in "$1" -noout -serial); h=${h#serial=}
  case $2 in
    hex) echo "$h" ;;
    hex-colon) echo "${h,,}" | sed 's/../&:/g; s/:$//' ;;
    decimal) echo $((16#$h)) ;;
  esac
}

b64() { base64 -w0 "$1"; }

more_people() { [ -z "${PEOPLE:-}" ] || cat "$PEOPLE"; }

# people PKI: the tree below the suffix, for OpenLDAP and 389.
people() {
  local p=$1 i
  cat <<L
dn: ou=elsewhere,$SUFFIX
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/ou=elsewhere,$SUFFIX

dn: ou=people,$SUFFIX
objectClass: organizationalUnit
ou: people

dn: ou=contractors,$SUFFIX
objectClass: organizationalUnit
ou: contractors

dn: ou=groups,$SUFFIX
objectClass: organizationalUnit
ou: groups

dn: ou=services,$SUFFIX
objectClass: organizationalUnit
ou: services

dn: cn=gateway,ou=services,$SUFFIX
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gateway
userPassword: $GATEWAY_PW

# {SSHA}; the serial number in upper-case hexadecimal
dn: uid=alice,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: alice
cn: Alice Doe
sn: Doe
mail: alice@example.test
mail: a.doe@example.test
employeeNumber: 4711
caccn: DOE.ALICE.Q.1234567890
cacserial: $(serial "$p/alice.pem" hex)
userPassword: $(ssha alice-pw)
userCertificate;binary:: $(b64 "$p/alice.der")

# {CRYPT}; a long serial number in lower-case hexadecimal with colons
dn: uid=bob,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: bob
cn: Bob Roe
sn: Roe
mail: bob@example.test
caccn: ROE.BOB.1234567891
cacserial: $(serial "$p/bob.pem" hex-colon)
userPassword: {CRYPT}$(openssl passwd -6 -salt saltsalt bob-pw)
userCertificate;binary:: $(b64 "$p/bob.der")

# a name full of what filters escape; the serial number 1 in decimal; a plain password; two certificates
dn: uid=carol,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: carol
cn: Carol O'Neil
sn: O'Neil
mail: carol@example.test
caccn: O'NEIL, CAROL (ACME) *.1234567892
cacserial: 1
userPassword: carol-pw
userCertificate;binary:: $(b64 "$p/carol.der")
userCertificate;binary:: $(b64 "$p/erin.der")

# UTF-8; 0x80, which DER writes with a sign octet; exempt
dn: uid=dave,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: dave
cn:: $(printf 'Dave Müller' | base64)
sn:: $(printf 'Müller' | base64)
mail: dave@example.test
caccn:: $(printf 'MÜLLER.DAVE.1234567893' | base64)
cacserial: 128
cacexempt: broken reader, ticket 42
userPassword: $(ssha dave-pw)
userCertificate;binary:: $(b64 "$p/dave.der")

# an emergency that is still open on 2026-11-24
dn: uid=erin,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: erin
cn: Erin Late
sn: Late
mail: erin@example.test
caccn: ERIN.1234567894
cacserial: 0A0B
cacemergency: 20261201000000Z
userPassword: $(ssha erin-pw)

# one that is over
dn: uid=frank,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: frank
cn: Frank Past
sn: Past
mail: frank@example.test
caccn: FRANK.1234567895
cacserial: 0C
cacemergency: 20261101000000Z
userPassword: $(ssha frank-pw)
userCertificate;binary:: $(openssl x509 -in "$p/server.pem" -outform DER | base64 -w0)

# without a certificate
dn: uid=grace,ou=people,$SUFFIX
objectClass: inetOrgPerson
uid: grace
cn: Grace None
sn: None
mail: grace@example.test
userPassword: $(ssha grace-pw)
userPassword: {SCRAM-SHA-256}5000,c2FsdHNhbHRzYWx0,rmNY0AR+PEQqikXLoKO1V/VYEKflbRZHKFMzVjsFGuo=,T81PP9RZU44u31aT8KSEx4gvJwTGlB+27SuHbccjj1A=

# an emergency that ended at 23:30Z, written with an offset and without seconds
dn: uid=heidi,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: heidi
cn: Heidi Zone
sn: Zone
mail: heidi@example.test
caccn: HEIDI.1234567896
cacserial: 0D
cacemergency: 202611240130+0200
userPassword: $(ssha heidi-pw)

# two people of one certificate
dn: uid=twin1,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: twin1
cn: Twin One
sn: One
caccn: TWIN.1234567897
cacserial: 0E
userPassword: $(ssha twin1-pw)

dn: uid=twin2,ou=people,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: twin2
cn: Twin Two
sn: Two
caccn: twin.1234567897
cacserial: 0e
userPassword: $(ssha twin2-pw)

dn: uid=nopw,ou=people,$SUFFIX
objectClass: inetOrgPerson
uid: nopw
cn: No Password
sn: Password

# a distinguished name full of what must be escaped
dn: cn=Weird\\, \\"Name\\" \\+ \\<x\\> \\#1,ou=people,$SUFFIX
objectClass: inetOrgPerson
uid: weird
cn: Weird, "Name" + <x> #1
sn: Weird
userPassword: $(ssha weird-pw)

# and one beyond ASCII
dn:: $(printf 'cn=Jürgen Groß,ou=people,%s' "$SUFFIX" | base64 -w0)
objectClass: inetOrgPerson
uid: juergen
cn:: $(printf 'Jürgen Groß' | base64)
sn:: $(printf 'Groß' | base64)
userPassword: $(ssha 'Grüße-pw')

# in another place than the others
dn: uid=ivan,ou=contractors,$SUFFIX
objectClass: inetOrgPerson
objectClass: cacPerson
uid: ivan
cn: Ivan Out
sn: Out
mail: ivan@contractors.test
caccn: IVAN.1234567898
cacserial: 0F
userPassword: $(ssha ivan-pw)

dn: cn=mailers,ou=groups,$SUFFIX
objectClass: groupOfNames
cn: mailers
member: uid=alice,ou=people,$SUFFIX
member: uid=bob,ou=people,$SUFFIX

L
  for ((i = 1; i <= ${BULK:-120}; i++)); do
    printf 'dn: uid=bulk%05d,ou=people,%s\nobjectClass: inetOrgPerson\nobjectClass: cacPerson\nuid: bulk%05d\ncn: Bulk %05d\nsn: Bulk\nmail: bulk%05d@example.test\ncaccn: BULK.%010d\ncacserial: %X\n\n' \
      $i "$SUFFIX" $i $i $i $i $((i + 4096))
  done
}
