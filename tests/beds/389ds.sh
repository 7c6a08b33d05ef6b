#!/bin/bash
# 389ds.sh make|run|start|stop DIR [ADDRESS]: 389 Directory Server on ports 4389 and 4636. Needs no root, and nothing
# outside of DIR: the instance is made from the server's own template, without dscreate.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Below a name of its own: ns-slapd names a semaphore after this folder, for the whole machine.
config() { echo "$DIR/slapd-$ADDRESS"; }

make() {
  make_pki "$DIR/pki" "DNS:localhost,IP:$ADDRESS"
  mkdir -p "$DIR"/{db,dbhome,ldif,bak,log,lock,run,tmp} "$(config)/schema"
  schema
  certificates
  configuration | cat -s > "$(config)/dse.ldif"
  {
    printf 'dn: %s\nobjectClass: domain\ndc: example\naci: (targetattr != "userPassword")(version 3.0; acl "reads"; allow (read,search,compare) userdn = "ldap:///all";)\naci: (targetattr = "userPassword")(version 3.0; acl "secrets"; allow (read) userdn = "ldap:///cn=gateway,ou=services,%s";)\n\n' "$SUFFIX" "$SUFFIX"
    # What the MemberOf plug-in would keep, had it seen the writes.
    people "$DIR/pki" | sed "/^uid: \(alice\|bob\)$/a objectClass: nsMemberOf\nmemberOf: cn=mailers,ou=groups,$SUFFIX"
    accounts
    more_people
  } > "$DIR/people.ldif"
  ns-slapd ldif2db -D "$(config)" -n userRoot -i "$DIR/people.ldif" >"$DIR/import.log" 2>&1 ||
    { cat "$DIR/import.log"; die "the people"; }
  grep -E 'skipping|bad LDIF|WARNING.*entry' "$DIR/import.log" && die "the people" || true
  info 389ds 4389 4636 "$SUFFIX" "ou=people,$SUFFIX" "cn=gateway,ou=services,$SUFFIX" "cn=Directory Manager"
}

run() {
  exec ns-slapd -D "$(config)" -i "$DIR/run/slapd.pid" -d 0
}

schema() {
  cp "$HERE/../../etc/schema/99cac.389ds.ldif" "$(config)/schema/98cac.ldif"
  # Writable for the server, which keeps changes to the schema there.
  printf 'dn: cn=schema\nobjectClass: top\nobjectClass: ldapSubentry\nobjectClass: subschema\ncn: schema\n' > "$(config)/schema/99user.ldif"
  # Every attribute sorts as its syntax says.
  touch "$(config)/slapd-collations.conf"
  # A client certificate is the entry of its common name.
  printf 'certmap default default\ndefault:DNComps\ndefault:FilterComps cn\n' > "$(config)/certmap.conf"
}

certificates() {
  local c=$(config) pki=$DIR/pki
  echo secret-1 > "$c/pwdfile.txt"
  echo "Internal (Software) Token:secret-1" > "$c/pin.txt"
  certutil -N -d "$c" -f "$c/pwdfile.txt"
  certutil -A -d "$c" -f "$c/pwdfile.txt" -n CA -t CT,, -a -i "$pki/ca.pem"
  openssl pkcs12 -export -in "$pki/server.pem" -inkey "$pki/server.key" -name Server-Cert -passout pass:x -out "$c/server.p12"
  pk12util -i "$c/server.p12" -d "$c" -k "$c/pwdfile.txt" -W x >/dev/null
}

configuration() {
  local t=/usr/share/dirsrv/data
  sed -e "s|%schema_dir%|$(config)/schema|; s|%lock_dir%|$DIR/lock|; s|%tmp_dir%|$DIR/tmp|; s|%cert_dir%|$(config)|" \
    -e "s|%ldif_dir%|$DIR/ldif|; s|%bak_dir%|$DIR/bak|; s|%run_dir%|$DIR/run|; s|%inst_dir%|$DIR|; s|%log_dir%|$DIR/log|" \
    -e "s|%fqdn%|localhost|; s|%ds_user%|$(id -un)|; s|%rootdn%|cn=Directory Manager|; s|%ds_passwd%|$(ssha "$ADMIN_PW")|" \
    -e "s|%ldapi_enabled%|off|; s|%ldapi%|$DIR/run/ldapi|; s|%ldapi_autobind%|off|; s|%config_dir%|$(config)|" \
    -e "s|%db_dir%|$DIR/db|; s|%db_home_dir%|$DIR/dbhome|; s|%db_lib%|bdb|; s|%ds_suffix%|$SUFFIX|" \
    -e "/^nsslapd-port: /c $(settings | sed 's/$/\\/; $s/\\$//')" \
    "$t/template-dse.ldif"
  echo
  sed -e "/^#/d; s|%ds_suffix%|$SUFFIX|; s|%ds_bename%|userRoot|; s|%db_dir%|$DIR/db|" "$t/template-suffix-db.ldif"
}

# Of cn=config. Passwords under TLS only, and not the empty one; nobody anonymous; a lock after five wrong passwords.
settings() {
  cat <<L
nsslapd-port: 4389
nsslapd-secureport: 4636
nsslapd-security: on
nsslapd-listenhost: $ADDRESS
nsslapd-securelistenhost: $ADDRESS
nsslapd-allow-anonymous-access: off
nsslapd-allow-unauthenticated-binds: off
nsslapd-require-secure-binds: on
nsslapd-allow-hashed-passwords: on
nsslapd-sizelimit: 120
nsslapd-accesslog-logbuffering: off
passwordLockout: on
passwordMaxFailure: 5
passwordLockoutDuration: 3600
passwordExp: on
passwordMustChange: on
L
}

# Accounts that are not as others are, and passwords as the server itself hashes them.
accounts() {
  account() { # uid password lines
    printf 'dn: uid=%s,ou=people,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: x\nmail: %s@example.test\nuserPassword: %s\n%b\n' "$1" "$SUFFIX" "$1" "$1" "$1" "$2" "${3:-}"
  }
  account disabled "$(ssha disabled-pw)" 'nsAccountLock: true\n'
  account expired "$(ssha expired-pw)" 'passwordExpirationTime: 20200101000000Z\n'
  account mustchange "$(ssha mustchange-pw)" 'passwordExpirationTime: 19700101000000Z\n'
  account lockable "$(ssha lockable-pw)"
  local scheme
  for scheme in SHA SSHA SSHA256 SSHA384 SSHA512 PBKDF2_SHA256 PBKDF2-SHA1 PBKDF2-SHA256 PBKDF2-SHA512 CRYPT CRYPT-SHA256 CRYPT-SHA512 CLEAR; do
    account "${scheme,,}" "$(pwdhash -D "$(config)" -s "$scheme" "${scheme,,}-pw")"
  done
}

cleanup() { rm -f "/dev/shm/sem.$(basename "$(config)").stats"; }

bed "$@"
